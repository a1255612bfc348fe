"""What keeps a project's `tasks.json` from harm while we have it written: a lock of our own, and copies of what was.

Task Master's own lock covers its writing, but not its reading before it: whoever writes through it at the same time
loses. Ours is a lock that the operating system drops when its holder dies. All but `alone` blocks for a moment.
"""

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from vel_tutor_mcp.errors import ConfigurationError, InputError, Unavailable
from vel_tutor_mcp.taskmaster.items import Tag, natural
from vel_tutor_mcp.taskmaster.locks import held
from vel_tutor_mcp.taskmaster.project import FOLDER, Project

KEPT_BACKUPS = 20
MAX_OUTPUT_IN_FILE = 2_000
_LOCK = ".vel-bridge.lock"
_LOCK_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_TASK_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@asynccontextmanager
async def alone(project: Project, seconds: float = _LOCK_SECONDS) -> AsyncIterator[None]:
    """No other process of ours writes to the project meanwhile, and no other task of this one.

    Raises:
        Unavailable: others have been at it all the time. InputError: see `inside`.
    """
    path = inside(project, FOLDER) / _LOCK
    deadline = time.monotonic() + seconds
    while True:
        with held(path) as ours:
            if ours:
                yield
                return
        if time.monotonic() > deadline:
            raise Unavailable(
                "The project's tasks cannot be written now; another process of vel-tutor-mcp is at it; try again."
            )
        await asyncio.sleep(_LOOK_SECONDS)


def back_up(project: Project, content: bytes) -> Path:
    """Keep a copy of the file's content, and of the older ones the newest few; the copy's path."""
    folder = inside(project, FOLDER, "vel", "backups")
    # Their names sort by time.
    kept = sorted(folder.glob("tasks-*.json"))
    if kept and kept[-1].read_bytes() == content:
        return kept[-1]
    path = folder / f"tasks-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.json"
    write(path, content)
    for old in kept[: max(0, len(kept) + 1 - KEPT_BACKUPS)]:
        old.unlink(missing_ok=True)
    return path


def keep_for_good(copy: Path, content: bytes) -> Path:
    """The copy under a name where no newer one takes its place; its path. It may have been replaced meanwhile."""
    path = copy.with_name(copy.name.replace("tasks-", "lost-", 1))
    write(path, content)
    return path


def keep_output(project: Project, task_id: str, output: str) -> dict[str, str]:
    """The output of a task as it goes into an item's metadata: itself, or where it lies if it is long."""
    if len(output) <= MAX_OUTPUT_IN_FILE:
        return {"output": output}
    # It becomes a part of a path.
    assert _TASK_ID.fullmatch(task_id)
    path = inside(project, FOLDER, "vel") / f"{task_id}.md"
    write(path, output.encode(errors="replace"))
    return {"output_file": path.relative_to(project.root).as_posix()}


def losses(before: Mapping[str, Tag], after: Mapping[str, Tag]) -> tuple[str, ...]:
    """What was there and is no more, in words: tags, items, and what others kept in an item's metadata."""
    found = [f"the tag {name}" for name in before if name not in after]
    for name, tag in before.items():
        items = after[name].items if name in after else tag.items
        found += [f"{item_id} of {name}" for item_id in sorted(tag.items.keys() - items.keys(), key=natural)]
        for item_id, item in tag.items.items():
            left = items[item_id].metadata if item_id in items else item.metadata
            found += [
                f"metadata {json.dumps(key)} of {item_id} of {name}" for key in item.metadata.keys() - left.keys()
            ]
    return tuple(found)


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for whoever might read it before.

    Raises:
        ConfigurationError: it cannot be written; says why.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        # What lies there may be a link, which would be written through.
        part.unlink(missing_ok=True)
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            # Before it gets its name: a crash of the machine must leave no empty file under that.
            os.fsync(stream.fileno())
        if path.exists():
            shutil.copymode(path, part)
        # Who reads it meanwhile finds the old file or the new one.
        part.replace(path)
    except OSError as problem:
        with suppress(OSError):
            part.unlink()
        raise ConfigurationError(
            f"The file {path.name} of the project cannot be written; {problem.strerror}; make room and its folder "
            "writable, and try again: it is as it was."
        ) from None


def inside(project: Project, *parts: str) -> Path:
    """The folder of the project, made where it is missing.

    Raises:
        InputError: a link leads out of the project.
    """
    folder = project.root.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(project.root):
        raise InputError(
            "The project's .taskmaster cannot be used; a link in it leads out of the project; replace it by a folder."
        )
    return folder
