"""Things by the id or name that a caller gave, for those who may see them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from vel_tutor_mcp.auth import roles
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.roles import Operation, Reach
from vel_tutor_mcp.errors import NotFound, NotYours
from vel_tutor_mcp.models import Agent, Principal, Task
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.store import accounts, agents, alerts, comparisons, names, runs, tasks, webhooks, workflows
from vel_tutor_mcp.store.alerts import Alert
from vel_tutor_mcp.store.comparisons import Comparison
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.isolation import everywhere
from vel_tutor_mcp.store.webhooks import Webhook
from vel_tutor_mcp.workflows.model import Run, Workflow

Thing = TypeVar("Thing")
Find = Callable[[Transaction, Principal, str], Awaitable[Thing | None]]


async def agent_of(tx: Transaction, principal: Principal, id_or_name: str) -> Agent:
    """The agent of this id or name.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = (
        "There is no such agent; no agent of yours has this id or name; see agent_list, or make one with agent_create."
    )
    return await _called(tx, principal, "agent", id_or_name, agents.find, sentence)


async def account_of(tx: Transaction, principal: Principal, operation: Operation, called: str) -> Account:
    """The account of this id, e-mail or name, where the principal may do the operation to it.

    Raises:
        NotFound: there is none that they may.
    """
    reach = roles.reach(principal.role, operation)
    within = None if reach is Reach.INSTALLATION else principal.organisation_id
    account = await accounts.find(tx, within, called) if is_text(called) else None
    if account is None or not roles.may_to(principal, operation, account.organisation_id, account.id):
        sentence = "There is no such user; nobody that you may look after has this id, e-mail or name; see `user list`."
        if account is not None:
            raise NotYours(sentence, f"user:{account.id}")
        if not (user_id := spelt(called)):
            raise NotFound(sentence)
        raise await missing(tx, sentence, f"user:{user_id}", lambda: accounts.get(tx, user_id))
    return account


async def task_of(tx: Transaction, principal: Principal, task_id: str) -> Task:
    """The task of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = "There is no such task; no task of yours has this id; see task_list."
    return await _of_id(tx, principal, "task", task_id, tasks.find, sentence)


async def run_of(tx: Transaction, principal: Principal, run_id: str) -> Run:
    """The run of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = "There is no such run; no run of yours has this id; see workflow_get."
    return await _of_id(tx, principal, "run", run_id, runs.find, sentence)


async def comparison_of(tx: Transaction, principal: Principal, comparison_id: str) -> Comparison:
    """The comparison of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = "There is no such comparison; none of yours has this id; see /api/comparisons."
    return await _of_id(tx, principal, "comparison", comparison_id, comparisons.find, sentence)


async def workflow_of(tx: Transaction, principal: Principal, id_or_name: str) -> Workflow:
    """The workflow of this id or name.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = (
        "There is no such workflow; no workflow of yours has this id or name; see workflow_get, or save one with "
        "workflow_save."
    )
    return await _called(tx, principal, "workflow", id_or_name, workflows.find, sentence)


async def webhook_of(tx: Transaction, principal: Principal, webhook_id: str) -> Webhook:
    """The webhook of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = "There is no such webhook; no webhook of yours has this id; list your webhooks."
    return await _of_id(tx, principal, "webhook", webhook_id, webhooks.find, sentence)


async def alert_of(tx: Transaction, principal: Principal, alert_id: str) -> Alert:
    """The alert of this id.

    Raises:
        NotFound: there is none that the principal may see.
    """
    sentence = "There is no such alert; none that you may see has this id; list the alerts."
    return await _of_id(tx, principal, "alert", alert_id, alerts.find, sentence)


async def _called(
    tx: Transaction, principal: Principal, kind: names.Named, id_or_name: str, find: Find[Thing], sentence: str
) -> Thing:
    thing = await find(tx, principal, id_or_name) if is_text(id_or_name) else None
    if thing is None:
        raise await _not_found(tx, principal, kind, id_or_name, sentence)
    return thing


async def _of_id(
    tx: Transaction, principal: Principal, kind: names.Named, called: str, find: Find[Thing], sentence: str
) -> Thing:
    thing_id = spelt(called)
    thing = await find(tx, principal, thing_id) if thing_id else None
    if thing is None:
        raise await _not_found(tx, principal, kind, called, sentence)
    return thing


async def _not_found(
    tx: Transaction, principal: Principal, kind: names.Named, id_or_name: str, sentence: str
) -> NotFound:
    thing_id = spelt(id_or_name)
    if not thing_id:
        return NotFound(sentence)
    return await missing(tx, sentence, f"{kind}:{thing_id}", lambda: names.is_hidden(tx, kind, principal, thing_id))


async def missing(tx: Transaction, sentence: str, subject: str, look: Callable[[], Awaitable[object]]) -> NotFound:
    """The error, which tells the record, and nobody else, whether there is such a thing after all, as `look` finds."""
    async with everywhere(tx):
        there = await look()
    return NotYours(sentence, subject) if there else NotFound(sentence)


def spelt(thing_id: str) -> str:
    """The id as we write it; empty where it is none."""
    try:
        return str(UUID(thing_id))
    except ValueError:
        return ""
