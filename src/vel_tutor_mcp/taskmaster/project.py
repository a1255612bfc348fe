"""A Task Master project on this machine's disk: where its files are, and what they hold. All of it blocks for a moment.

Nothing is followed out of the project's folder, by whatever link.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.taskmaster import reading
from vel_tutor_mcp.taskmaster.items import Tag, named

FOLDER = ".taskmaster"
_STATE_BYTES = 1_000_000


class Missing(NotFound):
    """The project has no tasks.json; it is expected in .taskmaster/tasks; add tasks with Task Master."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with Task Master's files in it; `root` is absolute and without links."""

    root: Path

    @property
    def tasks_file(self) -> Path:
        return self.root / FOLDER / "tasks" / "tasks.json"

    def content(self) -> bytes:
        """What is in `tasks.json`.

        Raises:
            Missing: there is none. Corrupt: it is no file, leads out of the project, is too large, or cannot be read.
        """
        return _bytes_of(self.root, self.tasks_file, reading.MAX_BYTES)

    def has_no_tasks_file(self) -> bool:
        """Whether there is no `tasks.json` yet, and one may be made.

        Raises:
            Corrupt: a link leads out of the project, or nowhere.
        """
        file = self.tasks_file
        if file.exists():
            return False
        # Whatever is written there would be made where the link leads.
        if any(path.is_symlink() and not path.exists() for path in (file, file.parent)):
            raise reading.corrupt("a link on the way to it leads nowhere")
        if not file.resolve().is_relative_to(self.root):
            raise reading.corrupt("a link on the way to it leads out of the project")
        return True

    def tags(self) -> Mapping[str, Tag]:
        """All tags, as the file has them at this moment.

        Raises:
            Missing, Corrupt: see `content` and `reading.read`.
        """
        return reading.read(self.content())

    def current_tag(self) -> str | None:
        """The tag that Task Master would work on, None where it does not say."""
        try:
            state = json.loads(_bytes_of(self.root, self.root / FOLDER / "state.json", _STATE_BYTES))
            tag = state["currentTag"]
        except (InputError, ValueError, RecursionError, KeyError, TypeError):
            return None
        return tag if isinstance(tag, str) else None

    def text_of(self, path: str, most: int) -> str:
        """The beginning of a file of the project, at most so many bytes; empty where it cannot be read."""
        try:
            # The cut may be in the middle of a character.
            return _bytes_of(self.root, self.root / path, most)[:most].decode(errors="ignore")
        except (InputError, ValueError):
            return ""


def at(path: str) -> Project:
    """The project in this folder.

    Raises:
        InputError: the path is not absolute, or leads to no folder. NotFound: no Task Master project is there.
    """
    try:
        given = Path(path)
        root = given.resolve(strict=True) if given.is_absolute() else None
    except (OSError, ValueError, RuntimeError):
        raise InputError("There is no such folder; the project's path leads nowhere; correct it.") from None
    if root is None:
        raise InputError("The project's path is relative; the server has a folder of its own; give the absolute path.")
    if not root.is_dir():
        raise InputError("The project's path leads to a file; a project is a folder; give the folder's path.")
    if not (root / FOLDER).is_dir():
        raise NotFound(
            "There is no Task Master project in this folder; it has no .taskmaster; run `task-master init` there, or "
            "correct the path."
        )
    return Project(root)


def chosen(tags: Mapping[str, Tag], name: str | None, current: str | None) -> Tag:
    """The tag of this name; without one the current tag, or what comes nearest to it.

    Raises:
        NotFound: there is none of this name, or none at all.
    """
    if not tags:
        raise NotFound("The project has no tasks yet; its tasks.json is empty; add some with Task Master.")
    if name is None:
        fallback = reading.LEGACY_TAG if reading.LEGACY_TAG in tags else next(iter(tags))
        return tags.get(current or "", tags[fallback])
    if name not in tags:
        raise NotFound(f"There is no such tag in this project; it has {named(tags)}; name one of these.")
    return tags[name]


def _bytes_of(root: Path, file: Path, most: int) -> bytes:
    """The content of a regular file inside `root`, and one byte too many where it is too large."""
    try:
        real = file.resolve(strict=True)
        if not real.is_relative_to(root):
            raise reading.corrupt("it is a link that leads out of the project")
        if not stat.S_ISREG(real.stat().st_mode):  # a pipe would block for ever
            raise reading.corrupt("it is no file")
        with real.open("rb") as opened:
            return opened.read(most + 1)
    except FileNotFoundError:
        raise Missing from None
    except (OSError, RuntimeError) as problem:
        why = os.strerror(problem.errno) if isinstance(problem, OSError) and problem.errno else "the system refuses"
        raise reading.corrupt(why.lower()) from None
