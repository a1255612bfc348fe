"""The bounds of the code's form that no linter of `make check` knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
OURS = ("src", "tools", "resources", "prompts")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
VAGUE = {"util", "utils", "utilities", "helper", "helpers", "common", "misc", "shared"}


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def test_no_file_is_too_long() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files(*OURS, "migrations")}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files(*OURS)}
    functions = [
        (path.name, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [row for row in functions if row[2] > LONGEST_FUNCTION] == []


def test_no_module_has_a_vague_name() -> None:
    named = {part for path in files(*OURS) for part in path.relative_to(ROOT).with_suffix("").parts}
    assert named & VAGUE == set()


def test_no_module_needs_itself_by_whatever_way() -> None:
    graph = grimp.build_graph("vel_tutor_mcp", exclude_type_checking_imports=True, cache_dir=None)
    imports = [
        (module, needed) for module in graph.modules for needed in graph.find_modules_directly_imported_by(module)
    ]
    assert len(imports) > 1000
    assert [pair for pair in imports if graph.chain_exists(importer=pair[1], imported=pair[0])] == []
