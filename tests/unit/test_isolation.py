"""Who may look beyond one organisation: the places are named here, each with its reason in docs/security.md."""

import ast
from collections import Counter
from pathlib import Path

import vel_tutor_mcp

SOURCE = Path(vel_tutor_mcp.__file__).parent
# How often each module opens a transaction for the installation, or looks across organisations in one of somebody's.
PLACES = {
    "app.py": 1,  # the first rows
}


def test_transactions_for_the_installation_are_opened_in_these_places_alone() -> None:
    found = Counter[str]()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named = [argument for argument in node.args if isinstance(argument, ast.Name)]
                across = isinstance(node.func, ast.Name) and node.func.id == "everywhere"
                found[path.relative_to(SOURCE).as_posix()] += across or any(name.id == "INSTALLATION" for name in named)
    assert {place: number for place, number in found.items() if number} == PLACES
