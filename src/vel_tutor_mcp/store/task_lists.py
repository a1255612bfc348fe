"""Lists of tasks, by what of them is wanted. Tasks are wide rows, of which a list needs little."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Page, Principal, Start, TaskError, TaskStatus, TaskType
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.search_tables import task_texts
from vel_tutor_mcp.store.tables import attempts, tasks
from vel_tutor_mcp.store.task_texts import has, with_tasks
from vel_tutor_mcp.store.tasks import PRIORITIES
from vel_tutor_mcp.task_lists import PROMPT_SHOWN, ListedTask

_SAME = (
    "id", "agent_id", "agent_name", "prompt", "provider", "model", "created_at", "updated_at", "retried_at", "ended_at",
    "run_id", "step_id", "item",
)  # fmt: skip
_OTHER = ("status", "task_type", "inferred_type", "priority", "error_code", "error_message")
# One character more than is shown, which tells that there are more.
_BEGINNING = sa.func.substr(tasks.c.prompt, 1, PROMPT_SHOWN + 1).label("prompt")
_COLUMNS = [_BEGINNING if name == "prompt" else tasks.c[name] for name in (*_SAME, *_OTHER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks are wanted: see `TaskFilter`. `conditions` are those that indexes can tell: all but `text`."""

    status: TaskStatus | None = None
    agent_id: str | None = None
    text: str | None = None
    provider: str | None = None
    model: str | None = None
    task_type: TaskType | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        columns = tasks.c
        asked: list[tuple[Any, Any]] = [
            (self.status, lambda: columns.status == self.status),
            (self.agent_id, lambda: columns.agent_id == self.agent_id),
            (self.provider, lambda: columns.provider == self.provider),
            (self.model, lambda: _is_model(str(self.model))),
            (self.task_type, lambda: sa.func.coalesce(columns.task_type, columns.inferred_type) == self.task_type),
            (self.since, lambda: columns.created_at >= self.since),
            (self.until, lambda: columns.created_at < self.until),
        ]
        return [condition() for value, condition in asked if value is not None]


async def page(tx: Transaction, principal: Principal, limit: int, start: Start, wanted: TaskQuery) -> Page[ListedTask]:
    query = sa.select(*_COLUMNS).where(paging.visible(tasks, principal), *wanted.conditions)
    having = _having(tx, principal, wanted.text, wanted.conditions) if wanted.text else None
    keys = (tasks.c.created_at, tasks.c.id)
    found = await paging.newest_first(tx, query, keys, limit, start, _listed, found=having)
    return replace(found, rows=await _with_attempts(tx, {task.id: task for task in found.rows}))


def _having(
    tx: Transaction, principal: Principal, text: str, conditions: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:
    """The keys of the tasks whose prompt has the text, in whatever case; without conditions no task is looked at."""
    keys = (task_texts.c.created_at, task_texts.c.task_id)
    found = sa.select(*keys).where(paging.visible(task_texts, principal), has(tx, text))
    return with_tasks(tx, found).where(paging.visible(tasks, principal), *conditions) if conditions else found


async def _with_attempts(tx: Transaction, listed: dict[str, ListedTask]) -> tuple[ListedTask, ...]:
    """The tasks, which have these ids, in their order, with what their attempts were and cost."""
    if listed:
        cost = sa.func.coalesce(sa.func.sum(attempts.c.cost_nanousd), 0)
        query = sa.select(attempts.c.task_id, sa.func.count(), cost).where(attempts.c.task_id.in_(listed))
        for task_id, count, spent in await tx.execute(query.group_by(attempts.c.task_id)):
            listed[task_id] = replace(listed[task_id], attempts=count, cost_nanousd=NanoUsd(int(spent)))
    return tuple(listed.values())


def _is_model(name: str) -> sa.ColumnElement[bool]:
    """Ids of models may have slashes."""
    provider, _, model = name.partition("/")
    whole = tasks.c.model == name
    return sa.or_(whole, sa.and_(tasks.c.provider == provider, tasks.c.model == model)) if model else whole


def _listed(row: sa.RowMapping) -> ListedTask:
    code, message = row["error_code"], row["error_message"]
    types = {name: TaskType(row[name]) if row[name] else None for name in ("task_type", "inferred_type")}
    return ListedTask(
        **{name: row[name] for name in _SAME} | types,
        status=TaskStatus(row["status"]),
        priority=PRIORITIES[row["priority"]],
        error=TaskError(code=code, message=message) if code else None,
        attempts=0,
        cost_nanousd=NanoUsd(0),
    )
