"""One database, two ways in: `read()` sees a snapshot, `write()` is the only writer from its first statement.

Each transaction says for which organisation it is, or that it is for the installation; on PostgreSQL row-level security
holds it to the rows of that organisation (`store.isolation`).

Nothing may be awaited inside a transaction but the transaction's own statements: others wait for it, in this process
and in all others. Whoever opens one is `unbroken`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

from vel_tutor_mcp.errors import Unavailable, VelError
from vel_tutor_mcp.tracing import spans

Transaction = AsyncConnection

P = ParamSpec("P")
R = TypeVar("R")

# For whom a transaction is that is for no single organisation: docs/deploy.md says why, a test lists the places.
INSTALLATION = "installation"

LOCK_WAIT_SECONDS = 30
POOL_WAIT_SECONDS = 30
# Longer than a transaction takes, unless it waits for another program or for a server that is away.
_CLOSING_SECONDS = 2.0


def unbroken(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Carry what the method began to its end, also where its caller is cancelled meanwhile, who then hears of it.

    A cancellation in the middle of a statement would leave the driver with a connection that nobody waits for, and that
    may hold the writer's lock for ever.
    """

    @wraps(method)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        work = asyncio.create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Else anyio would wake us at each turn of the loop: a few hundred who left would keep it busy.
            with anyio.CancelScope(shield=True):
                while not work.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait({work})
            raise

    return whole


def capital(place: str) -> str:
    """A place at the beginning of a sentence."""
    return place[0].upper() + place[1:]


def still_upgrading(place: str) -> Unavailable:
    return Unavailable(
        f"Another process is still upgrading {place}; it has the lock for upgrades; wait for it, or stop it and start "
        "again."
    )


class Database(ABC):
    """What SQLite and PostgreSQL have in common for us.

    Attributes:
        place: where it is, in words for a person, without a password.
        system: which kind of database it is, as OpenTelemetry names it.
        engine_url: the same for the execution engine's own tables; on PostgreSQL it holds the password.
        engine_schema: the schema of those tables; None where the database has no schemas.
    """

    place: str
    system: str
    engine_url: str
    engine_schema: str | None

    def __init__(self, engine: AsyncEngine, writer: AsyncEngine) -> None:
        self._engine = engine
        self._writer = writer
        # Writers of this process wait here, not with a connection in hand that readers could use.
        self._writing = asyncio.Lock()
        self._under_way = 0
        self._at_rest = asyncio.Event()
        self._closed = False

    def read(self, acts_for: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that changes nothing, for the organisation of this id, or for the `INSTALLATION`.

        Raises:
            Unavailable: the database cannot be used now. ConfigurationError: not without a person's help.
        """
        reading = self._read(acts_for)
        return self._told("read", reading, spans.place(1)) if spans.on() else reading

    def write(self, acts_for: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that no other writer's overlaps, so that what it reads is still so when it writes; see `read`.

        Raises:
            Unavailable: the database cannot be used now; nothing was written, unless the connection was lost in the
                very commit. ConfigurationError: not without a person's help.
        """
        writing = self._write(acts_for)
        return self._told("write", writing, spans.place(1)) if spans.on() else writing

    @asynccontextmanager
    async def _told(
        self, way: str, transaction: AbstractAsyncContextManager[Transaction], place: str
    ) -> AsyncIterator[Transaction]:
        """In a span, that says at which place of the code the transaction is opened."""
        named = {"db.system.name": self.system, "db.operation.name": way, "code.function.name": place}
        with spans.part(f"{way} {self.system}", "client", named):
            async with transaction as tx:
                yield tx

    def _read(self, acts_for: str) -> AbstractAsyncContextManager[Transaction]:
        return self._begun(self._engine, acts_for)

    @asynccontextmanager
    async def _write(self, acts_for: str) -> AsyncIterator[Transaction]:
        async with self._writing, self._begun(self._writer, acts_for) as connection:
            await self._lock(connection)
            yield connection

    @asynccontextmanager
    async def _begun(self, engine: AsyncEngine, acts_for: str) -> AsyncIterator[Transaction]:
        self._under_way += 1
        try:
            with self.translated():
                async with engine.begin() as connection:
                    self._begins_for(connection, acts_for)
                    yield connection
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._at_rest.set()
                if self._closed:
                    await self._let_go()

    @unbroken
    async def ping(self) -> None:
        """Raises:
        Unavailable: the database does not answer. ConfigurationError: it refuses us.
        """
        async with self.read(INSTALLATION) as tx:
            await tx.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Free every connection once what is under way has ended, which is waited for, but not for long.

        What goes on longer, or begins later because its caller has left, frees its own as it ends.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._under_way:
                    self._at_rest.clear()
                    await self._at_rest.wait()
        self._closed = True
        if not self._under_way:
            await self._let_go()

    async def _let_go(self) -> None:
        """Close the connections, none of which is in use: one that came back to a closed pool would stay open."""
        # The writer is a view of the same engine: it has no pool of its own.
        pool = self._engine.pool
        await self._engine.dispose(close=False)  # gives it a new pool, for who begins while these are being closed
        await greenlet_spawn(pool.dispose)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The driver's failures as errors of ours, with a sentence; any other failure goes through."""
        try:
            yield
        except VelError:
            raise
        except sa.exc.TimeoutError:
            raise Unavailable(
                f"All connections to {self.place} are busy; none came free in {POOL_WAIT_SECONDS} s; "
                "try again in a moment."
            ) from None
        except Exception as problem:
            told = self.told(problem)
            if told is None:
                raise
            raise told from None

    @abstractmethod
    def _begins_for(self, connection: Transaction, acts_for: str) -> None:
        """Have the transaction say for whom it is, with the statement that begins it."""

    @abstractmethod
    async def _lock(self, connection: Transaction) -> None:
        """Become the only writer, where beginning the transaction has not done that already."""

    @abstractmethod
    def lock_blocking(self, connection: sa.Connection) -> None:
        """Become the only writer for the rest of the transaction of this connection of `blocking_engine`."""

    @abstractmethod
    def told(self, problem: Exception) -> VelError | None:
        """The sentence for a failure of the database itself; None for any other problem."""

    @abstractmethod
    def make(self) -> None:
        """Make what the tables live in, where it is missing. Blocks."""

    @abstractmethod
    def secure(self, connection: sa.Connection) -> None:
        """See to it that transactions cannot see more than they say, as far as the database lets us."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """While it lasts, no other process makes or changes tables. Blocks until it is our turn.

        Raises:
            Unavailable: it did not become our turn.
        """

    @abstractmethod
    def blocking_engine(self, acts_for: str | None = None) -> sa.Engine:
        """An engine for code that blocks. Its transactions are for nobody, as those of the execution engine, which has
        tables of its own, or for whom it says.
        """
