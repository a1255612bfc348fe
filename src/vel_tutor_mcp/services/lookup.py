"""Things by the id or name that a caller gave, for those who may see them."""

from uuid import UUID

from vel_tutor_mcp.errors import NotFound
from vel_tutor_mcp.models import Agent, Principal, Task
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.store import agents, tasks
from vel_tutor_mcp.store.database import Transaction


async def agent_of(tx: Transaction, principal: Principal, id_or_name: str) -> Agent:
    """The agent of this id or name.

    Raises:
        NotFound: there is none that the principal may see.
    """
    agent = await agents.find(tx, principal, id_or_name) if is_text(id_or_name) else None
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
    task = await tasks.find(tx, principal, spelt(task_id)) if spelt(task_id) else None
    if task is None:
        raise NotFound("There is no such task; no task of yours has this id; see task_list.")
    return task


def spelt(task_id: str) -> str:
    """The id as we write it; empty where it is none."""
    try:
        return str(UUID(task_id))
    except ValueError:
        return ""
