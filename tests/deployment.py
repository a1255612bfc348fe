"""Where a conversation takes place: the same tests run over each transport and on each database."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from processes import COMMAND
from server import WAIT_SECONDS, Server, Transport, environment, serving, soon
from world import Era

TRANSPORTS: tuple[Transport, ...] = ("stdio", "sse", "http")
DATABASES = ("sqlite", "postgresql")
# The doors know no database, and the store no transport: in `make test` each of them is met once or twice, in the pairs
# of one person, a small team and a large one; `make soak` tries every pair.
PLACES: list[tuple[Transport, str]] = (
    list(product(TRANSPORTS, DATABASES))
    if "VEL_TEST_EVERYWHERE" in os.environ
    else [("stdio", "sqlite"), ("sse", "sqlite"), ("http", "postgresql")]
)
# Where once is enough, as for what is killed in a loop.
ONCE = PLACES[:1]


@dataclass(frozen=True)
class Deployment:
    """A folder and a database, and the way to their servers: each is a process of its own."""

    transport: Transport
    database: str
    folder: Path
    variables: Mapping[str, str]

    def serving(self, values: Mapping[str, str] = {}) -> serving:
        """A server that has been greeted, for a raw conversation."""
        return serving(self.folder, {**values, **self.variables}, transport=self.transport)

    @asynccontextmanager
    async def client(self, era: Era, values: Mapping[str, str] = {}, **options: Any) -> AsyncIterator[Client]:
        """The official SDK's client of a server; `options` are the client's own."""
        values = {**values, **self.variables}
        if self.transport == "stdio":
            async with Client(stdio_client(self._started_by_client(values)), mode=era, **options) as client:
                yield client
            return
        async with Server(self.folder, values, transport=self.transport) as server:
            address = await soon(server.address())
            way = sse_client(address, timeout=WAIT_SECONDS) if self.transport == "sse" else address
            async with Client(way, mode=era, **options) as client:
                yield client

    def _started_by_client(self, values: Mapping[str, str]) -> StdioServerParameters:
        return StdioServerParameters(
            command=COMMAND[0], args=[*COMMAND[1:]], env=environment(self.folder, values), cwd=self.folder
        )
