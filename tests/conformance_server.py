"""A program: the server of `vel-tutor-mcp serve --transport http --port 0 --no-auth`, whole, and on it what the
official conformance suite looks for.
"""

from types import ModuleType
from typing import Any

import conformance_fixtures
import conformance_questions
import conformance_tasks
from mcp.server.context import ServerRequestContext
from mcp_types import (
    EmptyResult,
    SetLevelRequestParams,
)

from vel_tutor_mcp.doors import http
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import Server, make_server, publish
from vel_tutor_mcp.settings import load_settings

LEAVES: tuple[ModuleType, ...] = (conformance_fixtures, conformance_questions, conformance_tasks)


def make(desk: Desk, **options: Any) -> Server:
    """Our server with all fixtures on it."""
    server = make_server(desk, **options)
    for module in LEAVES:
        for leaf in vars(module).values():
            if hasattr(leaf, "card"):
                publish(server, leaf, desk)
    conformance_tasks.prepare(server)
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, taken)
    return server


async def taken(_: ServerRequestContext[Any, Any], __: SetLevelRequestParams) -> EmptyResult:
    """Our log goes to stderr alone, so the product does not let clients set its level."""
    return EmptyResult()


if __name__ == "__main__":
    http.serve(load_settings(), http.Way("http", "127.0.0.1", 0, auth=False), make)
