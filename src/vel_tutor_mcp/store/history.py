"""What happened to a task, in order, and the route decision of each of its runs."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import Candidate, Decision, Excluded, NanoUsd, Policy, Task, TaskType
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import route_decisions, task_events


async def add(tx: Transaction, task: Task, event: TaskEvent) -> None:
    await tx.execute(
        task_events.insert(),
        {
            "task_id": task.id,
            "organisation_id": task.organisation_id,
            "owner_id": task.owner_id,
            "kind": event.kind,
            "message": event.message,
            "percent": event.percent,
            "at": event.at,
        },
    )


async def events(tx: Transaction, task_id: str) -> list[TaskEvent]:
    query = sa.select(task_events).where(task_events.c.task_id == task_id).order_by(task_events.c.sequence)
    return [_event(row) for row in await tx.execute(query)]


async def numbered(tx: Transaction, task_id: str, after: int) -> list[tuple[int, TaskEvent]]:
    """The task's events that are newer than `after`, each with its number, oldest first."""
    query = sa.select(task_events).where(task_events.c.task_id == task_id, task_events.c.sequence > after)
    return [(row.sequence, _event(row)) for row in await tx.execute(query.order_by(task_events.c.sequence))]


async def last_sequence(tx: Transaction, before: datetime) -> int:
    """The number of the newest event of any task before this time; they are numbered in the order of their commits."""
    query = sa.select(task_events.c.sequence).where(task_events.c.at < before).order_by(task_events.c.sequence.desc())
    return await tx.scalar(query.limit(1)) or 0


async def events_after(tx: Transaction, sequence: int) -> list[tuple[int, str, TaskEvent]]:
    """The events of all tasks that are newer than `sequence`, each with its number and task's id, oldest first."""
    query = sa.select(task_events).where(task_events.c.sequence > sequence).order_by(task_events.c.sequence)
    return [(row.sequence, row.task_id, _event(row)) for row in await tx.execute(query)]


async def keep_decision(tx: Transaction, task: Task, decision: Decision, now: datetime) -> None:
    await tx.execute(
        route_decisions.insert(),
        {
            "task_id": task.id,
            "attempt_set": task.attempt_set,
            "organisation_id": task.organisation_id,
            "owner_id": task.owner_id,
            "task_type": decision.task_type,
            "decision": _plain(decision),
            "created_at": now,
        },
    )


async def decision(tx: Transaction, task_id: str, attempt_set: int) -> Decision | None:
    query = sa.select(route_decisions.c.decision).where(
        route_decisions.c.task_id == task_id, route_decisions.c.attempt_set == attempt_set
    )
    plain: dict[str, Any] | None = await tx.scalar(query)
    return decision_in(plain) if plain else None


def _event(row: sa.Row[Any]) -> TaskEvent:
    return TaskEvent(kind=row.kind, message=row.message, percent=row.percent, at=row.at)


def _plain(decision: Decision) -> dict[str, Any]:
    return {
        "task_type": decision.task_type,
        "confidence": decision.confidence,
        "policy": decision.policy,
        "candidates": [candidate._asdict() for candidate in decision.candidates],
        "excluded": [row._asdict() for row in decision.excluded],
        "reasons": list(decision.reasons),
        "propensity": decision.propensity,
        "explored": decision.explored,
    }


def decision_in(plain: dict[str, Any]) -> Decision:
    """The decision that is stored so."""
    return Decision(
        task_type=TaskType(plain["task_type"]),
        confidence=plain["confidence"],
        policy=Policy(plain["policy"]),
        candidates=tuple(
            Candidate(**row | {"expected_cost_nanousd": NanoUsd(row["expected_cost_nanousd"])})
            for row in plain["candidates"]
        ),
        excluded=tuple(Excluded(**row) for row in plain["excluded"]),
        reasons=tuple(plain["reasons"]),
        # Not in what was stored before some decisions were drawn.
        propensity=plain.get("propensity", 1.0),
        explored=plain.get("explored", False),
    )
