"""Things by the id or name that a caller gave, for those who may see them."""

from uuid import UUID

from vel_tutor_mcp.errors import NotFound
from vel_tutor_mcp.models import Agent, Principal, Task
from vel_tutor_mcp.store import agents, tasks
from vel_tutor_mcp.store.database import Transaction


async def agent_of(tx: Transaction, principal: Principal, id_or_name: str) -> Agent:
    """The agent of this id or name.

    Raises:
        NotFound: there is none that the principal may see.
    """
    agent = await agents.find(tx, principal, id_or_name)
    if agent is None:
        raise NotFound(
            "There is no such agent; no agent of yours has this id or name; see agent_list, or make one with "
            "agent_create."
        )
    return agent


async def task_of(tx: Transaction, principal: Principal, task_id: str) -> Task:
    """The task of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    spelt = _uuid(task_id)
    task = await tasks.find(tx, principal, spelt) if spelt else None
    if task is None:
        raise NotFound("There is no such task; no task of yours has this id; see task_list.")
    return task


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
