"""Owners' lines to providers: clients with keys of integrations, made when they are first called and kept for a while.

An owner who has an integration is never served by the installation's key of that provider, whatever state it is in: who
stored a key meant to pay with it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import ChatRequest, Delta, Hear, Provider
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.lines import Line
from vel_tutor_mcp.services.integrations import Integrations, line_of, obstacle_of
from vel_tutor_mcp.store.integrations import Integration, Status

# So many clients are kept open that nobody uses.
MOST_IDLE = 20


class Withheld:
    """A provider that is not called, and says why: nothing is sent, and nothing is learned from it."""

    def __init__(self, name: str, why: str) -> None:
        self._name = name
        self._why = why

    async def complete(self, request: ChatRequest, on_delta: Delta, on_limits: Hear | None = None) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        sentence = f"{self._name}/{request.model} was not called; {self._why}."
        raise ProviderError(sentence, kind=FailureKind.AUTHENTICATION, billable=False, telling=False)

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Client:
    integration_id: str
    provider: Provider
    users: int = field(default=0)


class Lines:
    """`forget` is told the name of each line that is closed; `most_calls` bounds the calls at once on each."""

    def __init__(
        self, integrations: Integrations, catalog: Catalog, forget: Callable[[str], None], most_calls: int
    ) -> None:
        self._integrations = integrations
        self._catalog = catalog
        self._forget = forget
        self._most_calls = most_calls
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._making = asyncio.Lock()

    @asynccontextmanager
    async def held(self, integrations: Sequence[Integration]) -> AsyncIterator[Mapping[str, Line]]:
        """The owner's lines, by their providers; none is closed meanwhile."""
        lines: dict[str, Line] = {}
        clients: list[_Client] = []
        try:
            for integration in integrations:
                client = await self._client(integration)
                client.users += 1
                clients.append(client)
                lines[integration.provider] = Line(line_of(integration), client.provider)
            yield lines
        finally:
            for client in clients:
                client.users -= 1
            await self._close(self._superfluous())

    async def close(self) -> None:
        """Close every line; calls in flight fail."""
        await self._close(list(self._clients))

    async def _client(self, integration: Integration) -> _Client:
        if integration.status is not Status.ACTIVE:
            return _withheld(integration, obstacle_of(integration))
        line = line_of(integration)
        # Else two tasks would each make a client, and one of the two would never be closed.
        async with self._making:
            if line not in self._clients:
                try:
                    self._clients[line] = await self._made(integration)
                except ConfigurationError as problem:
                    return _withheld(integration, str(problem).rstrip("."))
            self._clients.move_to_end(line)
            return self._clients[line]

    async def _made(self, integration: Integration) -> _Client:
        row = self._catalog.providers.get(integration.provider)
        if row is None:
            raise ConfigurationError("the catalog has no such provider any more")
        key, base_url = await self._integrations.opened(integration), self._integrations.base_url_of(integration)
        carrier = self._integrations.carrier_to(integration)

        def make() -> Provider:
            return OpenAICompatible(
                row.name,
                base_url,
                key,
                limit_name=row.max_tokens_field,
                stream_usage=row.stream_usage,
                max_connections=self._most_calls,
                transport=carrier,
                of_environment=False,
            )

        return _Client(integration.id, await in_thread(make))

    def _superfluous(self) -> list[str]:
        """The lines that nobody uses and that were replaced, or are the longest unused of too many."""
        # Of an integration the line used last is the last here: `_client` moves it to the end.
        newest = {client.integration_id: name for name, client in self._clients.items()}
        idle = [name for name, client in self._clients.items() if not client.users]
        replaced = [name for name in idle if newest[self._clients[name].integration_id] != name]
        left = [name for name in idle if name not in replaced]
        return replaced + left[: max(0, len(left) - MOST_IDLE)]

    async def _close(self, names: Sequence[str]) -> None:
        # All out of reach before anything is awaited: nobody gets one that is being closed.
        clients = [(name, self._clients.pop(name)) for name in names]
        for name, client in clients:
            self._forget(name)
            await client.provider.close()


def _withheld(integration: Integration, why: str) -> _Client:
    return _Client(integration.id, Withheld(integration.provider, why))
