"""Where the doctor looks, beside the database (`store.inspection`): folders, files, programs. Nothing is changed."""

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from vel_tutor_mcp.services.doctor.verdicts import File, Folder
from vel_tutor_mcp.taskmaster.child import words

Result = TypeVar("Result")

_KEY_FILES = ("*.key", "*.pem", "keys/*")
# SQLite keeps the newest pages beside the file.
_BESIDE = ("", "-wal", "-shm")
_PROGRAM_SECONDS = 5.0


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


def collector() -> bool:
    """Whether the collector of traces takes an empty letter. Blocks."""
    with suppress(Exception):  # of whatever other variables the SDK finds wrong
        from vel_tutor_mcp.tracing import otlp

        return otlp.takes(_PROGRAM_SECONDS)
    return False


def task_master(command: str) -> str | None:
    """Where the program of this command line is; None where there is none."""
    parts = words(command)
    return shutil.which(parts[0]) if parts else None
