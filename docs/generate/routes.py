"""The page of REST's routes."""

from itertools import groupby
from typing import Any

from fastapi.routing import iter_route_contexts

from generate import calls
from generate.markdown import code, table
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.rest.api import make_rest

_HEAD = """\
# Routes
What `serve --transport http` answers beside MCP. *Needs* is the operation that the caller's
[role](../accounts.md#roles) must have; the bodies are in `/api/openapi.json`, and what holds for all routes in
[REST](../rest.md). What each code of an answer says: [errors](errors.md).
"""
_Row = tuple[str, ...]


def page() -> str:
    rest = make_rest(Desk(), [], [])
    routes = iter_route_contexts(rest.routes)
    endpoints = {(method, route.path): route.endpoint for route in routes for method in route.methods or ()}
    parts = [_HEAD]
    for tag, rows in groupby(_operations(rest.openapi()), lambda row: row[2]["tags"][0]):
        told = [_row(method, path, row, endpoints.get((method, path))) for method, path, row in rows]
        parts.append(f"## {tag}\n{table(('route', 'does', 'needs', 'answers'), told)}")
    return "\n".join(parts)


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    rows = [
        (method.upper(), path, row) for path, methods in document["paths"].items() for method, row in methods.items()
    ]
    tags = list(dict.fromkeys(row["tags"][0] for _, _, row in rows))
    return sorted(rows, key=lambda row: tags.index(row[2]["tags"][0]))


def _row(method: str, path: str, row: dict[str, Any], endpoint: calls.Function | None) -> _Row:
    needs = code(calls.operations(endpoint)) if "security" in row and endpoint else "no token"
    return (
        f"`{method} {path}`",
        row.get("description") or row["summary"],
        needs or "a token",
        " ".join(sorted(row["responses"])),
    )
