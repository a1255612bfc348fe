"""A client's side of the Tasks extension, by the official SDK's own means."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp_types import (
    CallToolResult,
    NotificationParams,
    Request,
    RequestParams,
    Result,
    SubscriptionFilter,
    SubscriptionsListenRequest,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from pydantic import ConfigDict
from server import soon
from waits import found

TASKS = "io.modelcontextprotocol/tasks"

Data = dict[str, Any]


class Handle(Result):
    """What a call is answered with that has begun lasting work."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")

    task_id: str


class _Asked(Request[_Params, Literal["tasks/get", "tasks/update", "tasks/cancel"]]):
    name_param = "taskId"


class _Notified(NotificationParams):
    model_config = ConfigDict(extra="allow")


class _Told(Result):
    model_config = ConfigDict(extra="allow")


class Handles(ClientExtension):
    """Declares the extension, takes handles for results, and keeps what is told of them unasked."""

    identifier = TASKS

    def __init__(self) -> None:
        self._told: asyncio.Queue[Data] = asyncio.Queue()

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self._resolve)]

    def notifications(self) -> list[NotificationBinding[Any]]:
        return [NotificationBinding(method="notifications/tasks", params_type=_Notified, handler=self._hear)]

    async def until(self, status: str) -> list[Data]:
        """What is told, up to this status."""
        told = [await soon(self._told.get())]
        while told[-1]["status"] != status:
            told.append(await soon(self._told.get()))
        return told

    async def _hear(self, params: "_Notified") -> None:
        self._told.put_nowait(params.model_dump(by_alias=True, mode="json", exclude={"meta"}))

    async def _resolve(self, handle: Handle, context: ClaimContext) -> CallToolResult:
        raise NotImplementedError


async def listen(client: Client, notifications: Data) -> None:
    """Listen for these, until the server ends it."""
    asked = SubscriptionFilter.model_validate(notifications)
    request = SubscriptionsListenRequest(params=SubscriptionsListenRequestParams(notifications=asked))
    await client.session.send_request(request, SubscriptionsListenResult)


@asynccontextmanager
async def listening(client: Client, *handles: str) -> AsyncIterator[None]:
    """Meanwhile the client listens for news of these handles."""
    stream = asyncio.create_task(listen(client, {"taskIds": list(handles)}))
    yield
    stream.cancel()


async def call(client: Client, tool: str, **arguments: Any) -> Data:
    """The result of a call as it comes, which may be a handle."""
    result = await client.session.call_tool(tool, arguments, allow_claimed=True)
    return result.model_dump(by_alias=True, mode="json")


async def begun(client: Client, tool: str, **arguments: Any) -> str:
    """The handle of what a call has begun."""
    told = await call(client, tool, **arguments)
    assert told["resultType"] == "task", told
    return str(told["taskId"])


async def ask(client: Client, method: Any, task_id: str, **params: Any) -> Data:
    """What a method of the extension gives."""
    request = _Asked(method=method, params=_Params(task_id=task_id, **params))
    result = await client.session.send_request(request, _Told)
    return result.model_dump(by_alias=True, mode="json", exclude={"meta"})


async def get(client: Client, task_id: str, until: str = "completed", seconds: float = 20) -> Data:
    """How the work stands, as soon as its status is the one that is waited for."""

    async def arrived() -> Data | None:
        told = await ask(client, "tasks/get", task_id)
        return told if told["status"] == until else None

    return await found(arrived, seconds)
