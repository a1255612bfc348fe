"""Decisions with all that became of them, newest first, to be looked at once more."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import AgentConfig, Attempt, Decision, Page, Principal, Task
from vel_tutor_mcp.store import attempts, history, paging, ratings, tasks
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import agent_versions, route_decisions

_order = (route_decisions.c.created_at, route_decisions.c.task_id, route_decisions.c.attempt_set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A decision for a run of a task, the calls that followed, and what people said of the task's answer."""

    task: Task
    config: AgentConfig
    decision: Decision
    attempts: Sequence[Attempt]
    ratings: Sequence[int]


async def page(tx: Transaction, principal: Principal, start: datetime, limit: int, cursor: str | None) -> Page[Made]:
    """Those made since `start` for tasks that the principal may see."""
    query = sa.select(route_decisions).where(
        paging.visible(route_decisions, principal), route_decisions.c.created_at >= start
    )
    found = await paging.newest_first(tx, query, _order, limit, cursor, dict)
    ids = {row["task_id"] for row in found.rows}
    their_tasks = await tasks.of_ids(tx, ids)
    configs = await _configs(tx, their_tasks)
    calls, said = await _calls(tx, ids), await ratings.of_tasks(tx, ids)
    rows = tuple(
        Made(
            task=(task := their_tasks[row["task_id"]]),
            config=configs[task.agent_id, task.agent_version],
            decision=history.decision_in(row["decision"]),
            attempts=calls[task.id, row["attempt_set"]],
            ratings=said.get(task.id, ()),
        )
        for row in found.rows
    )
    return Page(rows, found.cursors, more=found.more)


async def _calls(tx: Transaction, task_ids: set[str]) -> Mapping[tuple[str, int], Sequence[Attempt]]:
    calls: defaultdict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in await attempts.of_tasks(tx, task_ids):
        calls[attempt.task_id, attempt.attempt_set].append(attempt)
    return calls


async def _configs(tx: Transaction, of: Mapping[str, Task]) -> Mapping[tuple[str, int], AgentConfig]:
    agents = {task.agent_id for task in of.values()}
    wanted = {(task.agent_id, task.agent_version) for task in of.values()}
    query = sa.select(agent_versions).where(agent_versions.c.agent_id.in_(agents))
    rows: Sequence[sa.Row[Any]] = (await tx.execute(query)).all() if agents else ()
    return {
        (row.agent_id, row.version): AgentConfig.model_validate(row.config)
        for row in rows
        if (row.agent_id, row.version) in wanted
    }
