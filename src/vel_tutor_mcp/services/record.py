"""Each change of a task is one record: its row, its history and the audit trail, in the caller's transaction.

What is to follow gathers in an `Aftermath`; the caller sees to it after the commit.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from vel_tutor_mcp.models import Principal, Task, TaskError, TaskStatus, Work
from vel_tutor_mcp.news import News, TaskEvent
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.reports import short_task
from vel_tutor_mcp.services.webhooks import outbox
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store import audit, history, tasks
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.tracing.spans import Past

_TOLD = {TaskStatus.COMPLETED: Event.TASK_COMPLETED, TaskStatus.FAILED: Event.TASK_FAILED}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What follows the commit of a transaction: news of tasks and runs that nobody heard yet, spans of what is over,
    work whose calls are to stop, the benches of plans that are wanted, and the steps that the bridge to Task Master has
    to do with.
    """

    news: list[tuple[str, News]] = field(default_factory=list)
    spans: list[Past] = field(default_factory=list)
    stop: list[Work] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    bridged: list[str] = field(default_factory=list)

    def publish(self, hub: Hub) -> None:
        """Tell the news and the spans, once."""
        for subject_id, news in self.news:
            hub.publish(subject_id, news)
        self.news.clear()
        for past in self.spans:
            spans.record(past)
        self.spans.clear()

    def clear(self) -> None:
        """Nothing follows: the transaction was rolled back."""
        self.news.clear()
        self.spans.clear()
        self.stop.clear()
        self.plans.clear()
        self.bridged.clear()


@dataclass(frozen=True, slots=True)
class Subject:
    """A task, the principal on whose behalf everything about it is done, and what follows from that."""

    task: Task
    owner: Principal
    after: Aftermath = field(default_factory=Aftermath)

    @property
    def work(self) -> Work:
        return Work(self.task.id, self.task.attempt_set, self.task.turn)

    def publish(self, hub: Hub) -> None:
        """Tell the news, after the commit of the transaction that it came from."""
        self.after.publish(hub)


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
) -> None:
    """Add a line to the task's history and, where `action` is given, an audit entry. `percent` is 0-100."""
    await history.add(tx, subject.task, TaskEvent(kind=kind, message=message, percent=percent, at=now()))
    if action is not None:
        await audit_entry(tx, subject, action, payload or {})
    subject.after.news.append((subject.task.id, News(percent=percent, message=message)))


async def end(
    tx: Transaction,
    subject: Subject,
    status: TaskStatus,
    message: str,
    *,
    error: TaskError | None = None,
    payload: dict[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Give the task its final state; False where it already has one, and nothing is recorded twice.

    This is of the task alone: `Conductor.end_task` takes the run on that it may belong to.

    `values` are further columns of its row, such as `output`.
    """
    at = now()
    if not await tasks.end(tx, subject.work, status, at, error=error, **values):
        return False
    await history.add(tx, subject.task, TaskEvent(kind=status, message=message, percent=100, at=at))
    facts = (payload or {}) | ({"error": error.code} if error else {})
    await audit_entry(tx, subject, f"task_{status}", facts)
    if status in _TOLD:
        await _tell(tx, replace(subject.task, status=status, error=error, updated_at=at, ended_at=at, **values))
    subject.after.news.append((subject.task.id, News(percent=100, message=message, ended=True)))
    return True


async def _tell(tx: Transaction, ended: Task) -> None:
    told = short_task(ended) | {"owner_id": ended.owner_id, "status_url": f"/api/tasks/{ended.id}"}
    await outbox.tell(tx, ended.organisation_id, ended.owner_id, _TOLD[ended.status], told)
