"""Which processes live: each holds a lock that the operating system, or the database's server, drops when it dies.

On SQLite the lock is on a file: a process of this machine that is stopped keeps it until it goes on or dies. On
PostgreSQL it is an advisory lock of a connection that the process keeps open, and on which it asks something every
`BEAT_SECONDS`: the server notes when, by its own clock. One that has been silent for `SILENT_SECONDS` was stopped, or
its machine sleeps or vanished: it is taken for dead although its lock is still held. So no table is written for it,
and no two machines' clocks are compared.
"""

import hashlib
import os
import platform
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
from filelock import FileLock, Timeout

from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.postgresql import PostgresDatabase, is_broken
from vel_tutor_mcp.store.sqlite import SqliteDatabase

_LONGEST_HOST = 60
# Far longer than a look at a lock takes on a busy machine.
_LOOKED_AT_SECONDS = 10.0
# How long a lock must be free, on PostgreSQL: a living process whose connection broke needs time to come back.
ABSENT_SECONDS = 0.9
ABSENT_AFTER_RECONNECT_SECONDS = 3.0
BEAT_SECONDS = 2.0
# Together with the time that its silence is then watched, a process is believed to be frozen after ten seconds.
SILENT_SECONDS = 7.0
# Longer than a beat: after a sleep of the whole machine, or a leap of the server's clock, all look silent at first.
WATCHED_SECONDS = 3.0
# The locks of one database, and whether their holders were heard lately: `pg_locks` splits a key of 64 bits in two
# halves, marked by objsubid 1. A server that is told not to track activities knows no time: it must do without.
_HELD = """
SELECT (classid::bigint << 32) | objid::bigint,
coalesce(state_change > clock_timestamp() - make_interval(secs => %s), true)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND datname = current_database()
AND database = datid
"""
_BEAT = "SELECT 1"

# Each lease's connection says by its name whose it is.
_NAME = "SELECT set_config('application_name', %s, false)"
_NAMED = "vel-tutor-mcp: "
_LIVING = """
SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND starts_with(application_name, %s)
"""


class Lease(ABC):
    """This process's lock, and the look at others'. All of it blocks for a moment.

    Attributes:
        executor: names this process among all that share the database, for ever.
    """

    def __init__(self) -> None:
        host = (platform.node() or "host")[:_LONGEST_HOST]
        self.executor = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"

    @abstractmethod
    def take(self) -> None:
        """Hold the lock until `release` or death.

        Raises:
            OSError: the folder cannot be written. psycopg.Error: the server cannot be asked.
        """

    @property
    @abstractmethod
    def due(self) -> bool:
        """Whether `keep` is to be called now; does not block."""

    @abstractmethod
    def keep(self) -> None:
        """Show others that we live, and take a lost lock again, if that can be done now."""

    @abstractmethod
    def release(self) -> None:
        """Let others have this process's work at once."""

    @abstractmethod
    def dead(self, executors: Iterable[str]) -> set[str]:
        """Of these, and of all that left a trace, the processes that have died.

        Raises:
            psycopg.Error: the server cannot be asked.
        """

    @abstractmethod
    def living(self) -> list[str]:
        """The other processes that hold such a lock, in words for a person; one that is frozen may go on.

        Needs no lock of ours.

        Raises:
            psycopg.Error: the server cannot be asked.
        """


def lease_on(database: Database) -> Lease:
    """The kind of lease that the database gives."""
    if isinstance(database, PostgresDatabase):
        return PostgresLease(database)
    assert isinstance(database, SqliteDatabase)
    return FileLease(database.path.with_suffix(".executors"))


class FileLease(Lease):
    """`folder` is shared by all processes on one file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        # Taken in one thread and let go in another.
        self._lock = FileLock(self._path(self.executor), thread_local=False)

    def take(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # A process that looks for the dead has each lock for a moment, of a file that was just made too.
        self._lock.acquire(timeout=_LOOKED_AT_SECONDS, poll_interval=0.01)

    due = False

    def keep(self) -> None:
        """The operating system takes no lock away."""

    def release(self) -> None:
        self._lock.release()
        # A file without a lock on it would be found dead: nothing is lost if this is not reached.
        self._path(self.executor).unlink(missing_ok=True)

    def dead(self, executors: Iterable[str]) -> set[str]:
        left = {path.stem for path in self._folder.glob("*.lock")}
        return {name for name in left | set(executors) if self._is_dead(name)}

    def living(self) -> list[str]:
        others = sorted(self._folder.glob("*.lock"))
        return [_in_words(path.stem) for path in others if path.stem != self.executor and _is_held(path)]

    def _is_dead(self, executor: str) -> bool:
        """Whether the process that had this name has died; its file is then removed."""
        path = self._path(executor)
        if executor == self.executor:
            return False
        # Who leaves in order removes its file, and so does whoever finds it dead.
        if not path.exists():
            return True
        try:
            # Windows removes no open file; there the lock's release removes it.
            with FileLock(path, timeout=0), suppress(PermissionError):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    def _path(self, executor: str) -> Path:
        return self._folder / f"{executor}.lock"


class PostgresLease(Lease):
    """An advisory lock on a connection of its own, which is made anew where it breaks.

    When the server restarts, all processes lose their locks and come back one after the other: whoever is back waits
    longer before it takes another for dead.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__()
        self._database = database
        self._using = Lock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._released = False
        self._missing: dict[str, float] = {}
        self._patience = ABSENT_SECONDS
        # Before any time of the clock: the first beat is due at once.
        self._asked = -BEAT_SECONDS

    def take(self) -> None:
        connection = self._database.connect_blocking()
        try:
            connection.execute(_NAME, (f"{_NAMED}{_in_words(self.executor)}",))
            # Waits where our last connection broke, and its session still has the lock: the server has not noticed yet.
            connection.execute("SELECT pg_advisory_lock(%s)", (_key(self.executor),))
        except psycopg.Error:
            connection.close()
            raise
        self._connection = connection

    @property
    def due(self) -> bool:
        if self._using.locked() or self._released:
            return False  # whoever uses it finds out
        if time.monotonic() - self._asked >= BEAT_SECONDS:
            return True
        return self._connection is None or is_broken(self._connection)

    def keep(self) -> None:
        with self._using, suppress(psycopg.Error):  # it is tried again
            if not self._released:
                self._ask(_BEAT)

    def release(self) -> None:
        with self._using:
            self._released = True
            if self._connection is not None:
                self._connection.close()

    def dead(self, executors: Iterable[str]) -> set[str]:
        with self._using:
            return set() if self._released else self._dead(executors)

    def _dead(self, executors: Iterable[str]) -> set[str]:
        held = self._held()
        heard = {name: held.get(_key(name)) for name in set(executors) - {self.executor}}
        now = time.monotonic()
        self._missing = {name: self._missing.get(name, now) for name, lately in heard.items() if not lately}
        dead = {name for name, since in self._missing.items() if now - since >= self._patience_with(heard[name])}
        # Nobody is missed but the dead: all others are back from the server's restart.
        if not self._missing.keys() - dead:
            self._patience = ABSENT_SECONDS
        return dead

    def _patience_with(self, heard_lately: bool | None) -> float:
        """For how long it must be missing; None is the lock that nobody holds."""
        return self._patience if heard_lately is None else WATCHED_SECONDS

    def living(self) -> list[str]:
        with self._database.connect_blocking() as connection:
            names = sorted(row[0] for row in connection.execute(_LIVING, (_NAMED,)))
        return [name.removeprefix(_NAMED) for name in names]

    def _held(self) -> dict[int, bool]:
        """The locks that are held, and whether their holders were heard lately."""
        return dict(self._ask(_HELD, SILENT_SECONDS))

    def _ask(self, sql: str, *parameters: float) -> list[tuple[Any, ...]]:
        """On the lease's connection, made anew where it broke: the server notes that it was asked."""
        if self._connection is None or is_broken(self._connection):
            self._renew()
        assert self._connection is not None
        try:
            # As bytes: of texts psycopg's types take literals alone.
            rows = self._connection.execute(sql.encode(), parameters).fetchall()
        except psycopg.Error:
            self._connection.close()
            raise
        self._asked = time.monotonic()
        return rows

    def _renew(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._missing, self._patience = {}, ABSENT_AFTER_RECONNECT_SECONDS
        self.take()


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _in_words(executor: str) -> str:
    host, pid, _ = executor.rsplit("-", 2)
    return f"process {pid} on {host}"


def _key(executor: str) -> int:
    """64 bits with a sign, as PostgreSQL's advisory locks want them."""
    # Not by `hash`: by that a text has another number in each process.
    return int.from_bytes(hashlib.sha256(executor.encode()).digest()[:8], "big", signed=True)
