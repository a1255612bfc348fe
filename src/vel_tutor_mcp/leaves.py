"""Find the leaf folders (tools/, resources/, prompts/, migrations/) in a checkout and in a wheel.

Nothing imports a leaf: it is discovered by its file name, and imports only inwards.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parents[1]


def folder(name: str) -> Path:
    """Where the leaf folder `name` is: inside the installed package, else at the checkout's root."""
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def guides() -> dict[str, Path]:
    """The pages of the guide, by their topics."""
    return {page.stem: page for page in sorted((folder("resources") / "guide").glob("*.md"))}


def load(name: str) -> Iterator[Callable[..., Any]]:
    """Yield, from every `<folder>/<stem>.py` in alphabetical order, the function called `<stem>`."""
    for path in sorted(folder(name).glob("*.py")):
        spec = spec_from_file_location(f"vel_tutor_mcp.{name}.{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses with postponed annotations look themselves up here
        spec.loader.exec_module(module)
        yield getattr(module, path.stem)
