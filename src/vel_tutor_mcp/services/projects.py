"""Task Master projects: folders of this machine, whose tasks are read from their `tasks.json`, without Task Master.

A project gets a short id, which resources use.
"""

from collections.abc import Sequence

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Page, Principal
from vel_tutor_mcp.services.intake import usable_agent
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.project_reports import ToldProject
from vel_tutor_mcp.services.runs import Runs
from vel_tutor_mcp.services.workflows import Workflows
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.taskmaster import project as folders
from vel_tutor_mcp.taskmaster.children import Children
from vel_tutor_mcp.taskmaster.errands import check_ready
from vel_tutor_mcp.taskmaster.graph import Graph, Standing
from vel_tutor_mcp.taskmaster.items import Item, natural
from vel_tutor_mcp.taskmaster.known import Known
from vel_tutor_mcp.taskmaster.project import Project
from vel_tutor_mcp.taskmaster.wishes import Wishes
from vel_tutor_mcp.workflows.model import Run, RunRequest

_ORDER = list(Standing)


class Projects:
    """What the product does with Task Master projects, for every door."""

    def __init__(self, database: Database, known: Known, children: Children, workflows: Workflows, runs: Runs) -> None:
        self._database = database
        self._known = known
        self._children = children
        self._workflows = workflows
        self._runs = runs

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
        return await in_thread(lambda: self._told(folders.at(self._known.path_of(project_id)), None, None, None))

    @allows(Operation.TASKMASTER_RUN)
    async def start(self, principal: Principal, path: str, wishes: Wishes, max_cost_usd: float | None = None) -> Run:
        """Begin a run that has the items done by agents; it takes on what becomes ready as it goes on.

        Raises:
            InputError: the path, the ids or the file cannot be used, or nothing can be begun; says why. NotFound: there
                is no such project, tag, item or agent. ConfigurationError: there is no Task Master.
        """
        project, tag = await in_thread(lambda: self._checked(path, wishes))
        await self._check_agents(principal, wishes.agents)
        name, definition = wishes.workflow()
        workflow = await self._workflows.save(principal, name, definition)
        inputs = {"project": str(project.root), "tag": tag, "ids": list(wishes.asked().ids or ())}
        request = RunRequest(workflow=workflow.workflow.id, inputs=inputs, max_cost_usd=max_cost_usd)
        return await self._runs.start(principal, request)

    @unbroken
    async def _check_agents(self, principal: Principal, agents: Sequence[str]) -> None:
        async with self._database.read(principal.organisation_id) as tx:
            for agent in agents:
                await usable_agent(tx, principal, agent)

    def _checked(self, path: str, wishes: Wishes) -> tuple[Project, str]:
        asked, project = wishes.asked(), folders.at(path)
        graph = Graph(folders.chosen(project.tags(), wishes.tag, project.current_tag()))
        check_ready(graph, asked)
        self._children.check()
        self._known.remember(project)
        return project, graph.tag.name

    def _told(self, project: Project, tag: str | None, limit: int | None, cursor: str | None) -> ToldProject:
        tags = project.tags()
        graph = Graph(folders.chosen(tags, tag, project.current_tag()))
        return ToldProject(self._known.remember(project), tuple(tags), graph, _page(graph, limit, cursor))


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
