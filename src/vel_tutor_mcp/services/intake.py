"""Tasks are made here, whoever asks for them: a caller, or a step of a run."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.models import (
    MAX_PROMPT_CHARACTERS,
    Agent,
    AgentStatus,
    NanoUsd,
    Principal,
    Task,
    TaskRequest,
    TaskStatus,
)
from vel_tutor_mcp.routing.ledger import nano_usd
from vel_tutor_mcp.schemas import check_schema
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import body_hash, check_budget, check_key, check_text, json_bytes, merged
from vel_tutor_mcp.services.lookup import agent_of
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.store import budgets, tasks
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.standing import Budget, Period, Scope
from vel_tutor_mcp.tracing import spans

_MAX_PARAMETERS_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a run a task belongs, and in its trace; see `models.Task`."""

    run_id: str
    step_id: str
    item: int
    retries_left: int
    traceparent: str | None


async def usable_agent(tx: Transaction, principal: Principal, id_or_name: str) -> Agent:
    """The active agent of this id or name.

    Raises:
        NotFound: there is none that the principal may see. Conflict: it is not active.
    """
    agent = await agent_of(tx, principal, id_or_name)
    if agent.status is not AgentStatus.ACTIVE:
        raise Conflict(
            f"The agent {agent.name} is {agent.status.value}; only an active agent takes tasks; "
            "activate it with agent_update."
        )
    return agent


async def store(tx: Transaction, subject: Subject, request: TaskRequest, agent: Agent) -> None:
    """Store the new task with all that belongs to it; it then waits its turn."""
    task, at = subject.task, subject.task.created_at
    await tasks.insert(tx, task)
    if request.idempotency_key is not None:
        await tasks.remember_key(tx, subject.owner, request.idempotency_key, body_hash(request), task.id, at)
    if task.max_cost_nanousd is not None:
        budget = Budget(scope=Scope.TASK, subject_id=task.id, period=Period.TASK, limit_nanousd=task.max_cost_nanousd)
        await budgets.put(tx, budget, task.organisation_id, task.owner_id, at)
    payload = {"agent": agent.name, "agent_version": agent.version, "priority": task.priority.value}
    await record.note(tx, subject, "submitted", "submitted", 0, action="task_submitted", payload=payload)


async def reopen(
    tx: Transaction,
    subject: Subject,
    executor: str,
    *,
    not_before: datetime | None = None,
    retries_left: int = 0,
) -> None:
    """Let an ended task wait its turn once more, as a new attempt set with a fresh route. Its budget goes on."""
    task, at = subject.task, record.now()
    await tasks.change(
        tx,
        task.id,
        at,
        status=TaskStatus.PENDING,
        attempt_set=task.attempt_set + 1,
        turn=1,
        not_before=not_before,
        waits_for=None,
        retries_left=retries_left,
        recoveries=0,
        cancel_requested=False,
        executor=executor,
        output=None,
        partial=False,
        provider=None,
        model=None,
        error_code=None,
        error_message=None,
        retried_at=at,
        traceparent=(None if task.run_id else spans.traceparent()) or task.traceparent,
        started_at=None,
        ended_at=None,
    )
    payload = {"attempt_set": task.attempt_set + 1}
    await record.note(tx, subject, "retried", "retried", 0, action="task_retried", payload=payload)


def new_task(principal: Principal, agent: Agent, request: TaskRequest, place: Place | None = None) -> Task:
    """A pending task; `place` is where in a run it belongs.

    Raises:
        InputError: the agent's configuration cannot be changed as the request wants.
    """
    at, config = record.now(), merged(agent.config, request.config or {})
    return Task(
        id=str(uuid4()),
        owner_id=principal.user_id,
        organisation_id=principal.organisation_id,
        agent_id=agent.id,
        agent_name=agent.name,
        agent_version=agent.version,
        status=TaskStatus.PENDING,
        prompt=request.prompt,
        task_type=request.task_type,
        priority=request.priority,
        parameters=request.parameters,
        response_schema=request.response_schema or config.response_schema,
        config_changes=request.config,
        max_cost_nanousd=_limit(request.max_cost_usd, config.budget_usd_per_task),
        created_at=at,
        updated_at=at,
        **(asdict(place) if place else {"traceparent": spans.traceparent()}),
    )


def _limit(*limits_usd: float | None) -> NanoUsd | None:
    given = [nano_usd(limit) for limit in limits_usd if limit is not None]
    return min(given, default=None)


def check(request: TaskRequest) -> None:
    """Refuse a request that is out of bounds.

    Raises:
        InputError: names the field.
    """
    length = len(request.prompt)
    if not request.prompt.strip():
        raise InputError("The prompt is empty; there is nothing to do; say what the agent should do.")
    if length > MAX_PROMPT_CHARACTERS:
        raise InputError(
            f"The prompt has {length:,} characters; at most {MAX_PROMPT_CHARACTERS:,} are taken; shorten it, or split "
            "the task."
        )
    check_text("prompt", request.prompt)
    check_budget("max_cost_usd", request.max_cost_usd)
    check_key(request.idempotency_key)
    _check_parameters(request.parameters)
    check_schema(request.response_schema)


def _check_parameters(parameters: dict[str, Any]) -> None:
    length = json_bytes(parameters)
    if length is None:
        raise InputError("The parameters are not JSON; they are sent to the model as JSON; send an object.")
    if length > _MAX_PARAMETERS_BYTES:
        raise InputError(
            f"The parameters are {length:,} bytes of JSON; at most {_MAX_PARAMETERS_BYTES:,} are taken; send less."
        )
