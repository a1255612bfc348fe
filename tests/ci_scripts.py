"""The programs of `.ci`, which is no package, as modules to test."""

import importlib.util
from pathlib import Path
from types import ModuleType


def script(name: str) -> ModuleType:
    """`.ci/NAME.py`, executed, but not as the main program."""
    path = Path(__file__).parents[1] / ".ci" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
