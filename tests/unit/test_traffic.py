"""What becomes a label of a request: what we know, never what a stranger wrote."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mcp_types import CallToolResult
from starlette.types import Message, Receive, Scope, Send

from vel_tutor_mcp.doors.metrics.traffic import Counted, CountedCalls, Routed, Traffic, route_of

pytestmark = pytest.mark.anyio

REFUSED = CallToolResult(content=[], is_error=True)


@pytest.mark.parametrize(
    ("scope", "route"),
    [
        ({"path": "/api/tasks/secret", "route": SimpleNamespace(path="/api/tasks/{task}")}, "/api/tasks/{task}"),
        ({"path": "/dashboard", "endpoint": print, "path_params": {}}, "/dashboard"),
        ({"path": "/messages/secret", "root_path": "/messages", "endpoint": print}, "/messages"),
        ({"path": "/x/secret", "endpoint": print, "path_params": {"name": "secret"}}, "other"),
        ({"path": "/secret"}, "none"),
    ],
)
def test_a_route_is_named_by_its_template(scope: Scope, route: str) -> None:
    assert route_of(scope) == route


@pytest.mark.parametrize(("verb", "told"), [("GET", "GET"), ("SECRET", "other")])
async def test_a_request_whose_client_leaves_counts_as_such_and_is_open_no_more(verb: str, told: str) -> None:
    async def leaving(*_: object) -> None:
        assert traffic.open == 1
        raise ConnectionResetError

    traffic = Traffic()
    with pytest.raises(ConnectionResetError):
        await Counted(leaving, traffic)({"type": "http", "method": verb, "path": "/secret"}, receive, send)
    assert (traffic.requests, traffic.open) == ({(told, "none", 499): 1}, 0)


async def test_the_route_is_known_though_what_is_between_copies_the_scope() -> None:
    async def router(scope: Scope, _: Receive, send: Send) -> None:
        scope["route"] = SimpleNamespace(path="/api/agents")
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def copying(scope: Scope, receive: Receive, send: Send) -> None:
        await Routed(router)({**scope}, receive, send)

    traffic = Traffic()
    await Counted(copying, traffic)({"type": "http", "method": "GET", "path": "/api/agents"}, receive, send)
    assert traffic.requests == {("GET", "/api/agents", 204): 1}
    assert sum(traffic.seconds["GET", "/api/agents"].counts) == 1


@pytest.mark.parametrize(
    ("method", "params", "answer", "counted"),
    [
        ("tools/call", {"name": "task_get"}, CallToolResult(content=[]), ("tools/call", "task_get", "ok")),
        ("tools/call", {"name": "task_get"}, {"isError": True}, ("tools/call", "task_get", "refused")),
        ("tools/call", {"name": "secret"}, REFUSED, ("tools/call", "other", "refused")),
        ("tools/call", {"name": ["secret"]}, None, ("tools/call", "other", "ok")),
        ("tools/call", None, ValueError(), ("tools/call", "other", "error")),
        ("ping", None, {}, ("ping", "", "ok")),
        ("secret/method", {"name": "task_get"}, ValueError(), ("other", "", "error")),
    ],
)  # fmt: skip
async def test_a_call_counts_by_what_is_known(method: str, params: Any, answer: Any, counted: tuple[str, ...]) -> None:
    traffic = Traffic()
    ctx: Any = SimpleNamespace(method=method, params=params, request_id=1)
    (told,) = await asyncio.gather(CountedCalls(traffic, ["task_get"])(ctx, answering(answer)), return_exceptions=True)
    assert told == answer
    assert traffic.calls == {counted: 1}


async def test_a_notification_is_no_request() -> None:
    traffic = Traffic()
    ctx: Any = SimpleNamespace(method="notifications/initialized", params=None, request_id=None)
    await CountedCalls(traffic, [])(ctx, answering(None))
    assert not traffic.calls


def answering(answer: Any) -> Any:
    async def call(_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


async def receive() -> Message:
    raise AssertionError


async def send(_: Message) -> None:
    pass
