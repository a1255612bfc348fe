"""What a client is told of what it subscribed to, in the way of its protocol era."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp.client.subscriptions import PromptsListChanged, ResourceUpdated, Subscription
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    EmptyResult,
    PromptListChangedNotification,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from server import soon

PROMPTS = "prompts"


class Cues:
    """The cues of one client, which takes `hear` for its message handler: URIs, and `PROMPTS`."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> str:
        return await soon(self._heard.get())

    async def hear(self, message: Any) -> None:
        """The handshake era's: what comes on a stream is read from it."""
        params = getattr(message, "params", None)
        if params is not None and SUBSCRIPTION_ID_META_KEY in (params.meta or {}):
            return
        if isinstance(message, ResourceUpdatedNotification):
            self._heard.put_nowait(message.params.uri)
        elif isinstance(message, PromptListChangedNotification):
            self._heard.put_nowait(PROMPTS)

    def none_is_left(self) -> bool:
        return self._heard.empty()

    @asynccontextmanager
    async def of(self, client: Client, *uris: str, prompts: bool = False) -> AsyncIterator[None]:
        """Meanwhile the client subscribes to these; who is of the handshake era is told of prompts in any case."""
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            async with client.listen(prompts_list_changed=prompts, resource_subscriptions=uris) as stream:
                reading = asyncio.create_task(self._read(stream))
                yield
                reading.cancel()
            return
        for uri in uris:
            request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
            await soon(client.session.send_request(request, EmptyResult))
        yield
        for uri in uris:
            farewell = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
            await soon(client.session.send_request(farewell, EmptyResult))

    async def _read(self, stream: Subscription) -> None:
        async for event in stream:
            if isinstance(event, ResourceUpdated):
                self._heard.put_nowait(event.uri)
            elif isinstance(event, PromptsListChanged):
                self._heard.put_nowait(PROMPTS)
