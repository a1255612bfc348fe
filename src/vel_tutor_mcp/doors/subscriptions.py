"""Subscriptions to what changes, for clients of both protocol eras: `services.changes` decides who may, and tells.

Clients of the stateless era hold a `subscriptions/listen` open, whose answer is the stream. Those of the handshake era
subscribe to one resource after the other, and are told of prompts unasked. Either way what is sent are cues, each once
until it has left, so a client that does not read costs no more than what it subscribed to.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self, cast

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp.shared.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    PromptsListChanged,
    ResourceUpdated,
    ServerEvent,
    event_to_notification,
)
from mcp.shared.uri_template import UriTemplate
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    EmptyResult,
    NotificationParams,
    ServerCapabilities,
    ServerNotification,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.doors.tasks_extension import HandleChanged, TasksExtension, handles_in
from vel_tutor_mcp.errors import NotFound, VelError
from vel_tutor_mcp.news import Followed

if TYPE_CHECKING:
    from vel_tutor_mcp.services.changes import Changes, End, Tell

Asked = ServerRequestContext[Any, Any]
Event = ServerEvent | HandleChanged

_STATE = "vel_tutor_mcp.subscriptions"


class Subscriptions:
    """What a server's clients subscribe to; all of it ends with the connection, or with the stream."""

    def __init__(self, desk: Desk, handles: TasksExtension) -> None:
        self._desk = desk
        self._handles = handles
        self._offered: list[tuple[UriTemplate, Followed]] = []

    def offer(self, uri: str, kind: Followed) -> None:
        """Let resources of this URI template be subscribed to; a variable `id` in it says which thing is followed."""
        self._offered.append((UriTemplate.parse(uri), kind))

    def serve(self, server: "Server[Any]", *, sessions: bool) -> None:
        """Answer for both eras, and announce what is true in both. Clients of the handshake era are told by their
        sessions alone.
        """
        server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)
        if sessions:
            server.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
            server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
            server.add_notification_handler("notifications/initialized", NotificationParams, self._greeted)
        _announce(server, sessions=sessions)

    async def _listen(self, ctx: Asked, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """The stream of one client, until it goes."""
        outbox, meta = _Outbox(), {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        with ExitStack() as ends:
            # Followed before it is acknowledged: what happens in between waits in the box, and the first message is the
            # acknowledgement, as the protocol wants it.
            honored = await self._honored(ctx, params.notifications, outbox, ends)
            told = SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
            await ctx.session.send_notification(
                SubscriptionsAcknowledgedNotification(params=told), related_request_id=ctx.request_id
            )
            async for event in outbox:
                notification = await self._notification(ctx, event, meta)
                await ctx.session.send_notification(notification, related_request_id=ctx.request_id)
        return SubscriptionsListenResult(_meta=meta)

    async def _honored(
        self, ctx: Asked, asked: SubscriptionFilter, outbox: "_Outbox", ends: ExitStack
    ) -> SubscriptionFilter:
        """What of it will be told: not what they may not see. Where that leaves nothing, it is refused."""
        events: list[Event] = [ResourceUpdated(uri) for uri in dict.fromkeys(asked.resource_subscriptions or ())]
        events += handles_in(ctx, asked)
        events += [PromptsListChanged()] if asked.prompts_list_changed else []
        followed, refused = list[Event](), None
        for event in events:
            try:
                ends.callback(await self._follow(event, outbox))
            except MCPError as problem:
                # Of a database that is away: that says nothing of what they may see.
                if problem.code != INVALID_PARAMS:
                    raise
                refused = problem
            else:
                followed.append(event)
        if refused and not followed:
            raise refused
        if not asked.prompts_list_changed:  # so that each stream counts as one, and nobody can have any number
            ends.callback(await self._follow(PromptsListChanged(), _Outbox()))
        handles = [event.handle for event in followed if isinstance(event, HandleChanged)]
        return SubscriptionFilter(
            prompts_list_changed=asked.prompts_list_changed or None,
            resource_subscriptions=[event.uri for event in followed if isinstance(event, ResourceUpdated)] or None,
            **({"taskIds": handles} if handles else {}),
        )

    async def _subscribe(self, ctx: Asked, params: SubscribeRequestParams) -> EmptyResult:
        event = ResourceUpdated(params.uri)
        # The new one begins before an earlier one ends, so that no change falls between.
        _Session.of(ctx).add(event, await self._follow(event, _Session.of(ctx).outbox))
        return EmptyResult()

    async def _unsubscribe(self, ctx: Asked, params: UnsubscribeRequestParams) -> EmptyResult:
        _Session.of(ctx).end(ResourceUpdated(params.uri))
        return EmptyResult()

    async def _greeted(self, ctx: Asked, _: NotificationParams) -> None:
        event = PromptsListChanged()
        try:
            _Session.of(ctx).add(event, await self._follow(event, _Session.of(ctx).outbox))
        except MCPError:  # nobody asked for it: prompts are then as they were at the last look
            return

    async def _notification(self, ctx: Asked, event: Event, meta: dict[str, Any]) -> ServerNotification:
        if isinstance(event, HandleChanged):  # the SDK knows no notifications of extensions, but sends them
            return cast("ServerNotification", await self._handles.notification(ctx, event, meta))
        return event_to_notification(event, meta)

    async def _follow(self, event: Event, outbox: "_Outbox") -> "End":
        """Have the event put into the box whenever it happens.

        Raises:
            MCPError: the caller may not, as if there were no such thing; or the product cannot say now.
        """
        try:
            app, me = await self._desk.enter()
            if isinstance(event, PromptsListChanged):
                return await app.changes.templates(me, lambda: outbox.put(event))
            if isinstance(event, HandleChanged):
                return await self._handles.follow(event.handle, lambda: outbox.put(event))
            assert isinstance(event, ResourceUpdated)
            kind, thing_id = self._thing(event.uri)
            return await _ways(app.changes)[kind](me, thing_id, lambda: outbox.put(event))
        except VelError as problem:
            code = INVALID_PARAMS if isinstance(problem, NotFound) else INTERNAL_ERROR
            data = {"uri": event.uri} if isinstance(event, ResourceUpdated) else None
            raise MCPError(code, sentence(problem), data) from None

    def _thing(self, uri: str) -> tuple[Followed, str]:
        for template, kind in self._offered:
            if (found := template.match(uri)) is not None:
                return kind, str(found.get("id", ""))
        raise NotFound(
            "This resource cannot be subscribed to; its changes are told to nobody; subscribe to "
            f"{', '.join(str(template) for template, _ in self._offered)}, or read it when you need it."
        )


def _ways(changes: "Changes") -> "dict[Followed, Callable[[Any, str, Tell], Awaitable[End]]]":
    return {
        Followed.TASK: changes.task,
        Followed.OUTPUT: changes.output,
        Followed.RUN: changes.run,
        Followed.RECENT: lambda me, _, tell: changes.recent(me, tell),
    }


def _announce(server: "Server[Any]", *, sessions: bool) -> None:
    """Say what is told. Resources are the same for ever, and tools as long as a connection lasts: who gets another role
    is shown out (`doors.watch`). The SDK would say that all lists may change, or that none does.
    """
    known = server.get_capabilities

    def told(*args: Any, **options: Any) -> ServerCapabilities:
        found = known(*args, **options)
        is_handshake = options.get("protocol_version") is None
        changed = {"tools": False, "resources": False, "prompts": sessions or not is_handshake}
        parts = {name: getattr(found, name) for name in changed}
        return found.model_copy(
            update={
                name: part.model_copy(update={"list_changed": changed[name]}) for name, part in parts.items() if part
            }
        )

    server.get_capabilities = told  # type: ignore[method-assign]  # 2.3 has no other place to say it, for both eras


class _Outbox:
    """Events on their way to one client, each once however often it happens before it has left."""

    def __init__(self) -> None:
        self._waiting: dict[Event, None] = {}
        self._filled = asyncio.Event()

    def put(self, event: Event) -> None:
        self._waiting[event] = None
        self._filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await self._filled.wait()
        event = next(iter(self._waiting))
        del self._waiting[event]
        if not self._waiting:
            self._filled.clear()
        return event


class _Session:
    """What a client of the handshake era is told of, until its connection ends."""

    def __init__(self, session: ServerSession) -> None:
        self.outbox = _Outbox()
        self._session = session
        self._ends: dict[Event, End] = {}
        self._sending = asyncio.create_task(self._send())

    @classmethod
    def of(cls, ctx: Asked) -> "_Session":
        """That of the connection, made where it is missing."""
        connection = ctx.session._connection  # noqa: SLF001 - 2.3 shows in no public place what ends with it
        if _STATE not in connection.state:
            connection.state[_STATE] = made = cls(ctx.session)
            connection.exit_stack.callback(made.close)
        found: _Session = connection.state[_STATE]
        return found

    def add(self, event: Event, end: "End") -> None:
        """Tell of the event, once however often it was asked for, until it is ended."""
        self.end(event)
        self._ends[event] = end

    def end(self, event: Event) -> None:
        if event in self._ends:
            self._ends.pop(event)()

    def close(self) -> None:
        self._sending.cancel()
        for event in list(self._ends):
            self.end(event)

    async def _send(self) -> None:
        async for event in self.outbox:
            if isinstance(event, ResourceUpdated):
                await self._session.send_resource_updated(event.uri)
            else:
                await self._session.send_prompt_list_changed()
