"""MCP completions: what the arguments of resource templates and prompts may go on with, as each leaf says."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mcp_types import Completion

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.leaves import guides
from vel_tutor_mcp.models import TaskType

if TYPE_CHECKING:
    from vel_tutor_mcp.doors.desk import Desk

_MOST = 100
# One more than are shown tells that there are more.
_LIMIT = _MOST + 1


async def agents(desk: "Desk", begun: str) -> Sequence[str]:
    app, me = await desk.enter()
    return await app.completions.agents(me, begun, _LIMIT)


async def workflows(desk: "Desk", begun: str) -> Sequence[str]:
    app, me = await desk.enter()
    return await app.completions.workflows(me, begun, _LIMIT)


async def tasks(desk: "Desk", begun: str) -> Sequence[str]:
    app, me = await desk.enter()
    return await app.completions.tasks(me, begun, _LIMIT)


async def runs(desk: "Desk", begun: str) -> Sequence[str]:
    app, me = await desk.enter()
    return await app.completions.runs(me, begun, _LIMIT)


async def projects(desk: "Desk", begun: str) -> Sequence[str]:
    """Short ids of Task Master projects."""
    return begins(await _projects(desk), begun)


async def project_paths(desk: "Desk", begun: str) -> Sequence[str]:
    return begins(sorted((await _projects(desk)).values()), begun)


async def models(desk: "Desk", begun: str) -> Sequence[str]:
    """Models whose provider has a key; of several with commas between, the last one goes on."""
    app, _ = await desk.enter()
    known = [f"{row['provider']}/{row['model']}" for row in app.routes.known_models() if row["configured"]]
    last = begun.rpartition(",")[2].lstrip()
    return [begun[: len(begun) - len(last)] + name for name in begins(known, last)]


async def task_types(_: "Desk", begun: str) -> Sequence[str]:
    return begins(TaskType, begun)


async def topics(_: "Desk", begun: str) -> Sequence[str]:
    return begins(guides(), begun)


def begins(values: Iterable[str], begun: str) -> list[str]:
    """Those that begin so, in upper or lower case."""
    return [str(value) for value in values if value.lower().startswith(begun.lower())]


def shown(values: Sequence[str]) -> Completion:
    return Completion(values=list(values[:_MOST]), has_more=len(values) > _MOST)


async def _projects(desk: "Desk") -> dict[str, str]:
    if not desk.lets(Operation.TASKMASTER_READ):  # what is not even listed to them is no refusal for the record
        return {}
    app, me = await desk.enter()
    return await app.completions.projects(me)
