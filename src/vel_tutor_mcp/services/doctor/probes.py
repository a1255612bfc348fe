"""Where the doctor looks: folders, files, databases, programs. Nothing here changes what it looks at."""

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar, cast

from vel_tutor_mcp.services.doctor.verdicts import Contents, File, Folder
from vel_tutor_mcp.store.database import Database

Result = TypeVar("Result")

_QUICK_CHECK_SECONDS = 5.0
_STEPS_BETWEEN_LOOKS = 10_000
_LOCK_WAIT_SECONDS = 2.0
_KEY_FILES = ("*.key", "*.pem", "keys/*")
# SQLite keeps the newest pages beside the file.
_BESIDE = ("", "-wal", "-shm")
_IN_USE = ("-wal", "-journal")
_PROGRAM_SECONDS = 5.0


async def in_thread(work: Callable[[], Result]) -> Result:
    """Like `asyncio.to_thread`, in a thread that nobody waits for at the end: a dead network drive blocks for ever."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(value: Result | None, problem: Exception | None) -> None:
        if done.done():
            return
        if problem is None:
            done.set_result(cast("Result", value))
        else:
            done.set_exception(problem)

    def run() -> None:
        value, problem = None, None
        try:
            value = work()
        except Exception as caught:  # noqa: BLE001 - carried over to the loop, whole
            problem = caught
        with suppress(RuntimeError):  # the loop is gone: so is whoever waited
            loop.call_soon_threadsafe(settle, value, problem)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await done


def folder(path: Path) -> Folder:
    """The folder, or the place where it would be made."""
    nearest = next(place for place in (path, *path.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
        free = shutil.disk_usage(nearest).free
    except OSError as problem:
        return Folder(path, problem=problem.strerror or type(problem).__name__)
    return Folder(path, exists=nearest == path, free_bytes=free, mode=mode(path))


def mode(path: Path) -> int | None:
    """The permission bits; None where there is no such file, or the system has no such bits."""
    if os.name != "posix":
        return None
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    return None


def private_files(home: Path, database: Path | None) -> Iterator[File]:
    """What others should not read, where the system can keep them from it."""
    stored = [database.with_name(database.name + end) for end in _BESIDE] if database else []
    keys = [path for pattern in _KEY_FILES for path in home.glob(pattern) if path.is_file()]
    for path in [*stored, *keys]:
        own, around = mode(path), mode(path.parent)
        if own is not None and around is not None:
            yield File(path, own, around, is_key=path in keys)


def sqlite(path: Path) -> Contents:
    """What stands in the file, which is only read.

    Raises:
        OSError, sqlite3.Error: it cannot be.
    """
    writable, journal = os.access(path, os.W_OK), _journal(path)
    with closing(sqlite3.connect(_only_to_read(path), uri=True, timeout=_LOCK_WAIT_SECONDS)) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        revision = _sqlite_revision(connection)
        try:
            damage = _damage(connection)
        except _TookTooLongError:
            return Contents(revision, tables, unfinished=True, journal=journal, writable=writable)
    return Contents(revision, tables, damage, journal=journal, writable=writable)


def _only_to_read(path: Path) -> str:
    """A file that nobody has open is opened in a way that leaves nothing beside it."""
    in_use = any(path.with_name(path.name + end).exists() for end in _IN_USE)
    return f"{path.as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"


class _TookTooLongError(Exception):
    """The file is too big to be checked in the time that a person waits."""


def _journal(path: Path) -> str | None:
    """As the file's header has it, which `PRAGMA journal_mode` does not tell of a file that is opened as immutable."""
    with path.open("rb") as file:
        header = file.read(20)
    return ("wal" if header[18:] == b"\x02\x02" else "delete") if header else None


def _sqlite_revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _damage(connection: sqlite3.Connection) -> str | None:
    deadline = time.monotonic() + _QUICK_CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        if time.monotonic() > deadline:
            raise _TookTooLongError from None
        raise
    return None if said == "ok" else str(said)


async def postgresql(database: Database) -> tuple[Contents, float]:
    """What stands in the database, and by how many seconds its clock is ahead of ours.

    Raises:
        Unavailable, ConfigurationError: it cannot be reached; says why.
    """
    async with database.read() as tx:
        asked = await tx.exec_driver_sql(
            "SELECT current_setting('server_version_num')::int AS version, "
            "extract(epoch FROM clock_timestamp())::float8 AS now, "
            "(SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()) AS tables, "
            "to_regclass('alembic_version') IS NOT NULL AS ours"
        )
        row = asked.one()
        ahead = row.now - time.time()
        revision = None
        if row.ours:
            revision = (await tx.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar()
    return Contents(revision, row.tables, version=row.version // 10_000), ahead


async def node_version() -> str | None:
    """What `node --version` says; None where it does not run."""
    program = shutil.which("node")
    if program is None:
        return None
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(program, "--version", stdin=null, stdout=pipe, stderr=null)
    except OSError:
        return None
    try:
        async with asyncio.timeout(_PROGRAM_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return None
    return said.decode(errors="replace").strip() or None


def task_master() -> str | None:
    """Where its command is; it goes by two names."""
    return shutil.which("task-master") or shutil.which("task-master-ai")
