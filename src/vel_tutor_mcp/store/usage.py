"""What the usage of a window comes to: roll-ups where there are any, and the attempts themselves where not yet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from vel_tutor_mcp.auth.roles import Operation, Reach, reach
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import paging, rollups
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.latencies import add_json
from vel_tutor_mcp.store.people_tables import organisations, users
from vel_tutor_mcp.store.spans import Span, Step, Window, cover
from vel_tutor_mcp.store.tables import attempts, tasks
from vel_tutor_mcp.store.usage_calls import begun_at, ended, latencies_of
from vel_tutor_mcp.store.usage_sums import NUMBERS, Grouping, Sums
from vel_tutor_mcp.store.usage_tables import usage_rollups

Group = Literal["provider", "model", "agent", "user", "task_type", "day"]
# By the beginning of its step, and its group.
Used = Mapping[tuple[datetime, str], Sums]

# What tells the groups apart; for days it is the step.
_BY: Mapping[Group, tuple[str, ...]] = {
    "provider": ("provider",),
    "model": ("provider", "model"),
    "agent": ("agent",),
    "user": ("owner_id",),
    "task_type": ("task_type",),
    "day": (),
}
_latencies = sa.func.aggregate_strings(sa.cast(usage_rollups.c.latencies, sa.Text), ",").label("latencies")
_cost = [sa.func.sum(usage_rollups.c.cost_nanousd).label("cost_nanousd")]
_sums = [sa.func.sum(usage_rollups.c[name]).label(name) for name in NUMBERS]


@dataclass(frozen=True, slots=True)
class Only:
    """Of which calls alone: to a provider, to a model (`provider/model`), of an agent."""

    provider: str | None = None
    model: str | None = None
    agent: str | None = None

    def of(self, agent: Any, provider: Any, model: Any) -> list[sa.ColumnElement[bool]]:
        """The same as conditions on these columns."""
        wanted = [] if self.agent is None else [agent == self.agent]
        if self.provider is not None:
            wanted.append(provider == self.provider)
        if self.model is not None:
            named, _, of_provider = self.model.partition("/")
            wanted += [provider == named, model == of_provider]
        return wanted


EVERYTHING = Only()


async def used(tx: Transaction, principal: Principal, window: Window, group: Group, only: Only = EVERYTHING) -> Used:
    """What the attempts come to that ended in the window and that the principal may see."""
    made_of = cover(window, await rollups.rolled(tx, Step.DAY.begin(window.since)))
    named = await _names(tx, principal) if group == "user" else {}
    found: defaultdict[tuple[datetime, str], Sums] = defaultdict(Sums)
    for stretch in made_of.raw:
        wanted = only.of(tasks.c.agent_name, attempts.c.provider, attempts.c.model)
        for row in await ended(tx, stretch, window.step, _BY[group], paging.visible(attempts, principal), *wanted):
            at = begun_at(row)
            sums = found[at, _group_of(row, at, group, named)]
            sums.add_numbers(row)
            sums.latencies.update(latencies_of(row.times))
    seen = paging.visible(usage_rollups, principal), usage_rollups.c.kind == _kind(principal, group, only)
    wanted = only.of(usage_rollups.c.agent, usage_rollups.c.provider, usage_rollups.c.model)
    for row in await _rolled_up(tx, made_of.rolled, _BY[group], (*_sums, _latencies), (*seen, *wanted)):
        at = window.step.begin(row.at)
        sums = found[at, _group_of(row, at, group, named)]
        sums.add_numbers(row)
        add_json(sums.latencies, row.latencies)
    return found


async def spent(tx: Transaction, principal: Principal, window: Window) -> Mapping[datetime, int]:
    """What the steps of the window cost, in nano-US-dollars, of what the principal may see."""
    made_of = cover(window, await rollups.rolled(tx, Step.DAY.begin(window.since)))
    found: defaultdict[datetime, int] = defaultdict(int)
    for stretch in made_of.raw:
        for row in await ended(tx, stretch, window.step, (), paging.visible(attempts, principal)):
            found[begun_at(row)] += int(row.cost_nanousd)
    seen = paging.visible(usage_rollups, principal), usage_rollups.c.kind == Grouping.OWNER
    for row in await _rolled_up(tx, made_of.rolled, (), _cost, seen):
        found[window.step.begin(row.at)] += int(row.cost_nanousd)
    return found


async def begun(tx: Transaction, principal: Principal) -> datetime:
    """When usage that the principal may see could begin: when their organisation was made, or they were."""
    table, own = (
        (users, principal.user_id) if _sees_own_alone(principal) else (organisations, principal.organisation_id)
    )
    found: datetime = (await tx.execute(sa.select(table.c.created_at).where(table.c.id == own))).scalar_one()
    return found


async def _rolled_up(
    tx: Transaction,
    spans: Sequence[Span],
    by: Sequence[str],
    sums: Sequence[sa.ColumnElement[Any]],
    wanted: Sequence[sa.ColumnElement[bool]],
) -> list[sa.Row[Any]]:
    """A row for each span and group."""
    groups = [usage_rollups.c.at, *(usage_rollups.c[name] for name in by)]
    rows: list[sa.Row[Any]] = []
    # A query for each: the index has the step before the time.
    for step in Step:
        if begins := [span.at for span in spans if span.step is step]:
            when = usage_rollups.c.step == step, usage_rollups.c.at.in_(begins)
            query = sa.select(*groups, *sums).where(*when, *wanted).group_by(*groups)
            rows.extend(await tx.execute(query))
    return rows


def _kind(principal: Principal, group: Group, only: Only) -> Grouping:
    """The fewest rows that tell the groups apart, and whose they are."""
    if group in {"user", "day"} and only == EVERYTHING:
        return Grouping.OWNER
    return Grouping.OWN_CALLS if group == "user" or _sees_own_alone(principal) else Grouping.CALLS


def _sees_own_alone(principal: Principal) -> bool:
    return reach(principal.role, Operation.USAGE_READ) < Reach.ORGANISATION


def _group_of(row: Any, at: datetime, group: Group, named: Mapping[str, str]) -> str:
    """Of attempts, or of roll-ups, that have the group in common."""
    match group:
        case "model":
            return f"{row.provider}/{row.model}"
        case "user":
            return named[row.owner_id]
        case "day":
            return at.date().isoformat()
        case _:
            return str(getattr(row, group))


async def _names(tx: Transaction, principal: Principal) -> dict[str, str]:
    """Of the users of the organisation, by their ids."""
    query = sa.select(users.c.id, users.c.name).where(users.c.organisation_id == principal.organisation_id)
    return {row.id: row.name for row in await tx.execute(query)}
