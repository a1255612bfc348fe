"""A program: the server of `vel-tutor-mcp serve --transport http --port 0 --no-auth`, whole, and on it what the
official conformance suite looks for.
"""

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import conformance_fixtures
import conformance_questions
import conformance_tasks
from mcp.server.context import ServerRequestContext
from mcp_types import (
    EmptyResult,
    RequestParams,
    Result,
    SetLevelRequestParams,
)

from vel_tutor_mcp.doors import http
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import Server, make_server, publish
from vel_tutor_mcp.settings import load_settings

LEAVES: tuple[ModuleType, ...] = (conformance_fixtures, conformance_questions, conformance_tasks)
# What clients of a handshake may ask for, with an answer for where the product has none.
NOTHING: dict[str, tuple[type[RequestParams], Result]] = {
    "logging/setLevel": (SetLevelRequestParams, EmptyResult()),
}


def make(desk: Desk, **options: Any) -> Server:
    """Our server with all fixtures on it."""
    server = make_server(desk, **options)
    for module in LEAVES:
        for leaf in vars(module).values():
            if hasattr(leaf, "card"):
                publish(server, leaf, desk)
    conformance_tasks.prepare(server)
    low = server._lowlevel_server
    for method, (params, answer) in NOTHING.items():
        if low.get_request_handler(method) is None:
            low.add_request_handler(method, params, always(answer))
    return server


def always(answer: Result) -> Callable[[ServerRequestContext[Any], Any], Awaitable[Result]]:
    async def answering(_: ServerRequestContext[Any], __: Any) -> Result:
        return answer

    return answering


if __name__ == "__main__":
    http.serve(load_settings(), http.Way("http", "127.0.0.1", 0, auth=False), make)
