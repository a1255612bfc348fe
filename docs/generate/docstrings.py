"""Texts that stand behind what they are about, as a docstring of a setting or of a table."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType


def behind(source: ModuleType | type) -> dict[str, str]:
    """By the name of each attribute that has one."""
    tree: ast.Module | ast.ClassDef = ast.parse(textwrap.dedent(inspect.getsource(source)))
    if isinstance(source, type):
        (tree,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return dict(_behind(tree.body))


def _behind(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node, after in pairwise(body):
        match node, after:
            case (
                ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)),
                ast.Expr(ast.Constant(str(text))),
            ):
                yield name, " ".join(text.split())
