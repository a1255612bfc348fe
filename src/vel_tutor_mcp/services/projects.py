"""Task Master projects: folders of this machine, whose tasks are read from their `tasks.json`, without Task Master.

A project gets a short id, which resources use. It is kept in a file of the home: like the path that it stands for, it
means something on this machine alone.
"""

import hashlib
import re
from pathlib import Path

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.models import Page, Principal
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.project_reports import ToldProject
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.taskmaster import project as folders
from vel_tutor_mcp.taskmaster.graph import Graph, Standing
from vel_tutor_mcp.taskmaster.items import Item, natural
from vel_tutor_mcp.taskmaster.project import Project

_ID = re.compile(r"[0-9a-f]{12}")
_ORDER = list(Standing)


class Projects:
    """What the product does with Task Master projects, for every door. `home` keeps which id is which folder."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database = database
        self._known = home / "projects"

    @allows(Operation.TASKMASTER_READ)
    async def list(
        self,
        principal: Principal,  # noqa: ARG002 - `allows` has looked at it
        path: str,
        tag: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> ToldProject:
        """The items of a tag: what is ready first, then what is active, blocked, done and set aside.

        Raises:
            InputError: the path, the file or the cursor cannot be used. NotFound: there is no project or tag there.
        """
        return await in_thread(lambda: self._told(folders.at(path), tag, limit, cursor))

    @allows(Operation.TASKMASTER_READ)
    async def get(self, principal: Principal, project_id: str) -> ToldProject:  # noqa: ARG002 - `allows` has looked at it
        """All items of the current tag of the project with this id.

        Raises:
            NotFound: no project that was listed has it. InputError: its file cannot be read.
        """
        return await in_thread(lambda: self._told(folders.at(self._path_of(project_id)), None, None, None))

    def _told(self, project: Project, tag: str | None, limit: int | None, cursor: str | None) -> ToldProject:
        tags = project.tags()
        graph = Graph(folders.chosen(tags, tag, project.current_tag()))
        return ToldProject(self._remembered(project), tuple(tags), graph, _page(graph, limit, cursor))

    def _remembered(self, project: Project) -> str:
        """The project's id, from now on known to every process that shares the home."""
        path = str(project.root)
        project_id = hashlib.sha256(path.encode()).hexdigest()[:12]
        kept = self._known / project_id
        if not kept.exists():
            self._known.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept.write_text(path, encoding="utf-8")
        return project_id

    def _path_of(self, project_id: str) -> str:
        kept = self._known / project_id
        if not _ID.fullmatch(project_id) or not kept.is_file():
            raise NotFound("There is no such project; no project that was listed has this id; see taskmaster_list.")
        return kept.read_text(encoding="utf-8")


def _page(graph: Graph, limit: int | None, cursor: str | None) -> Page[Item]:
    """The items behind the one that the cursor names, which may have gone or moved since."""
    keys = {item_id: (_ORDER.index(standing), natural(item_id)) for item_id, standing in graph.standings.items()}
    ordered = sorted(keys, key=keys.__getitem__)
    if cursor is not None:
        seen = _seen(cursor)
        ordered = [item_id for item_id in ordered if keys[item_id] > seen]
    shown = ordered[:limit]
    cursors = tuple(f"{graph.standings[item_id].value}:{item_id}" for item_id in shown)
    return Page(tuple(graph.tag.items[item_id] for item_id in shown), cursors, more=len(ordered) > len(shown))


def _seen(cursor: str) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    standing, _, item_id = cursor.partition(":")
    if standing not in _ORDER or not item_id:
        raise InputError(
            "The cursor is not one of this list; it was changed or belongs to another list; start without a cursor."
        )
    return _ORDER.index(Standing(standing)), natural(item_id)
