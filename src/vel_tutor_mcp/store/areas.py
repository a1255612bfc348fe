"""What somebody may see, area by area: the stamp of an area is another one whenever something in it has changed."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from vel_tutor_mcp.auth.roles import Operation, may
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store.alert_tables import alerts
from vel_tutor_mcp.store.alerts import visible as visible_alerts
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.comparison_tables import comparisons
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.money_tables import budgets
from vel_tutor_mcp.store.paging import within
from vel_tutor_mcp.store.run_tables import run_events, run_steps, runs
from vel_tutor_mcp.store.runs import awaiting_of
from vel_tutor_mcp.store.tables import task_events
from vel_tutor_mcp.store.webhook_tables import webhooks

_Stamp = tuple[sa.ScalarSelect[Any], ...]


class _Area(NamedTuple):
    """Who may see it, by the operation, and what its stamp is read from, for a principal."""

    reads: Operation
    stamp: Callable[[Principal], _Stamp]


def _newest(table: sa.Table, reads: Operation) -> _Area:
    """Each change is a row of the table, numbered in the order of the commits."""

    def stamp(principal: Principal) -> _Stamp:
        last = sa.select(sa.func.max(table.c.sequence)).where(within(table, principal, reads))
        return (last.scalar_subquery(),)

    return _Area(reads, stamp)


def _approvals(principal: Principal) -> _Stamp:
    # The times too: where one is decided while another is asked, their number is as before.
    asked_at = run_steps.c.started_at
    waiting = awaiting_of(within(runs, principal, Operation.RUN_CHANGE))
    counted = waiting.with_only_columns(sa.func.count(), maintain_column_froms=True)
    first, last = (counted.with_only_columns(of(asked_at)) for of in (sa.func.min, sa.func.max))
    return counted.scalar_subquery(), first.scalar_subquery(), last.scalar_subquery()


def _usage(principal: Principal) -> _Stamp:
    """What is spent is in the audit trail too; so are budgets, but as done by whoever set them."""
    changed = sa.func.max(sa.func.coalesce(budgets.c.updated_at, budgets.c.created_at))
    seen = within(budgets, principal, Operation.BUDGET_READ)
    of_budgets = [sa.select(what).where(seen).scalar_subquery() for what in (sa.func.count(budgets.c.id), changed)]
    return (*_newest(audit_logs, Operation.USAGE_READ).stamp(principal), *of_budgets)


def _webhooks(principal: Principal) -> _Stamp:
    """Whatever is sent to one is noted with it."""
    seen = within(webhooks, principal, Operation.WEBHOOK_READ)
    told = (sa.func.count(webhooks.c.id), sa.func.max(webhooks.c.updated_at), sa.func.max(webhooks.c.last_at))
    return tuple(sa.select(what).where(seen).scalar_subquery() for what in told)


def _comparisons(principal: Principal) -> _Stamp:
    """New ones, and ratings in them; what becomes of their tasks is told with the tasks."""
    seen = within(comparisons, principal, Operation.TASK_READ)
    every, last = sa.func.count(comparisons.c.id), sa.func.max(comparisons.c.updated_at)
    return tuple(sa.select(what).where(seen).scalar_subquery() for what in (every, last))


def _alerts(principal: Principal) -> _Stamp:
    seen = visible_alerts(principal)
    every, last = sa.func.count(alerts.c.id), sa.func.max(alerts.c.updated_at)
    return tuple(sa.select(what).where(seen).scalar_subquery() for what in (every, last))


# What a page can show; a new area is a line here.
AREAS: Mapping[str, _Area] = {
    "tasks": _newest(task_events, Operation.TASK_READ),
    "runs": _newest(run_events, Operation.RUN_READ),
    "approvals": _Area(Operation.RUN_CHANGE, _approvals),
    "usage": _Area(Operation.USAGE_READ, _usage),
    "audit": _newest(audit_logs, Operation.AUDIT_READ),
    "webhooks": _Area(Operation.WEBHOOK_READ, _webhooks),
    "comparisons": _Area(Operation.TASK_READ, _comparisons),
    "alerts": _Area(Operation.ALERT_READ, _alerts),
}


async def stamps(tx: Transaction, principal: Principal) -> dict[str, Hashable]:
    """Of each area that the principal may see, by one statement."""
    asked = {name: area.stamp(principal) for name, area in AREAS.items() if may(principal.role, area.reads)}
    columns = [column for stamp in asked.values() for column in stamp]
    found: Iterator[Any] = iter((await tx.execute(sa.select(*columns))).one())
    return {name: tuple(islice(found, len(stamp))) for name, stamp in asked.items()}
