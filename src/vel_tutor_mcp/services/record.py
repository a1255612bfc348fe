"""Each change of a task is one record: its row, its history and the audit trail, in the caller's transaction.

After the commit the caller publishes the event that it gets back.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vel_tutor_mcp.models import Principal, Task, TaskError, TaskEvent, TaskStatus, Work
from vel_tutor_mcp.services.hub import News
from vel_tutor_mcp.store import audit, history, tasks
from vel_tutor_mcp.store.database import Transaction


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Subject:
    """A task and the principal that it belongs to: on whose behalf everything about it is done."""

    task: Task
    owner: Principal

    @property
    def work(self) -> Work:
        return Work(self.task.id, self.task.attempt_set)


async def audit_entry(tx: Transaction, subject: Subject, action: str, payload: dict[str, Any]) -> None:
    await audit.append(tx, subject.owner, action, f"task:{subject.task.id}", payload, now())


async def note(
    tx: Transaction,
    subject: Subject,
    kind: str,
    message: str,
    percent: int,
    *,
    action: str | None = None,
    payload: dict[str, Any] | None = None,
) -> News:
    """Add a line to the task's history and, where `action` is given, an audit entry."""
    at = now()
    await history.add(tx, subject.task, TaskEvent(kind=kind, message=message, percent=percent, at=at))
    if action is not None:
        await audit.append(tx, subject.owner, action, f"task:{subject.task.id}", payload or {}, at)
    return News(percent=percent, message=message)


async def end(
    tx: Transaction,
    subject: Subject,
    status: TaskStatus,
    message: str,
    *,
    by: Principal | None = None,
    error: TaskError | None = None,
    payload: dict[str, Any] | None = None,
    **values: Any,
) -> News | None:
    """Give the task its final state; None where it already has one, and nothing is recorded twice."""
    at = now()
    if not await tasks.end(tx, subject.work, status, at, error=error, **values):
        return None
    await history.add(tx, subject.task, TaskEvent(kind=status, message=message, percent=100, at=at))
    facts = (payload or {}) | ({"error": error.code} if error else {})
    await audit.append(tx, by or subject.owner, f"task_{status}", f"task:{subject.task.id}", facts, at)
    return News(percent=100, message=message, ended=True)
