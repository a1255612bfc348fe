"""The projects that a home knows: a file for each, and a lock. They mean something on this machine alone.

All of it blocks for a moment.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from vel_tutor_mcp.errors import NotFound
from vel_tutor_mcp.taskmaster.locks import held
from vel_tutor_mcp.taskmaster.project import Project

_ID = re.compile(r"[0-9a-f]{12}")


class Known:
    """`folder` is kept in a home, and shared by all processes with that home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remember(self, project: Project) -> str:
        """The project's short id, from now on known to every process of this home."""
        project_id = _id_of(project)
        kept = self._folder / project_id
        if not kept.exists():
            self._made()
            _keep(kept, str(project.root))
        return project_id

    def has(self, project: Project) -> bool:
        return (self._folder / _id_of(project)).exists()

    def path_of(self, project_id: str) -> str:
        """Raises:
        NotFound: no project that was listed has this id.
        """
        kept = self._folder / project_id
        if not _ID.fullmatch(project_id) or not kept.is_file():
            raise NotFound("There is no such project; no project that was listed has this id; see taskmaster_list.")
        return kept.read_text(encoding="utf-8")

    def paths(self) -> dict[str, str]:
        """All of them, by their short ids."""
        kept = sorted(file for file in self._folder.glob("*") if _ID.fullmatch(file.name))
        return {file.name: file.read_text(encoding="utf-8") for file in kept}

    def home(self) -> str:
        """Names this home among all that share a database, for ever."""
        kept = self._folder / "home"
        if not kept.exists():
            with FileLock(self._made() / "home.lock"):
                if not kept.exists():
                    _keep(kept, secrets.token_hex(16))
        return kept.read_text(encoding="ascii")

    @contextmanager
    def held(self, project: Project) -> Iterator[bool]:
        """Whether the bridge of this process, and of no other with this home, has to do with the project meanwhile."""
        with held(self._made() / f"{_id_of(project)}.lock") as ours:
            yield ours

    def _made(self) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder


def _keep(file: Path, text: str) -> None:
    """Under another name first: whoever looks finds it whole or not at all."""
    part = file.with_suffix(f".{secrets.token_hex(4)}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _id_of(project: Project) -> str:
    return hashlib.sha256(str(project.root).encode()).hexdigest()[:12]
