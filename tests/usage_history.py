"""Random histories of attempts, as rows at any moment, and what they come to, computed from their plan alone."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import sqlalchemy as sa
from hypothesis import strategies as st

from vel_tutor_mcp.models import Outcome, Principal
from vel_tutor_mcp.store.tables import agent_versions, agents, attempts, route_decisions, tasks

MODELS = ("groq/openai/gpt-oss-20b", "openai/gpt-4o-mini", "groq/openai/gpt-oss-120b", "openai/gpt-4o")
TYPES = ("general", "reasoning", "translation")
AGENTS = ("writer", "coder")
ENDED = [Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED, Outcome.CUT]
_BASE = (1 + 0.005) / (1 - 0.005)
_BOUNDS = [_BASE**place for place in range(1400)]
# Minutes before the end at which hours, days and periods may begin or end.
_EDGES = st.sampled_from([0, 1, 5, 6, 59, 60, 61, 65, 24 * 60 - 1, 24 * 60, 25 * 60, 7 * 24 * 60, 30 * 24 * 60])


@dataclass(frozen=True)
class Planned:
    """One attempt. `beside`: it was begun while the one before it was open."""

    model: str
    outcome: Outcome
    beside: bool
    seconds: float
    tokens_in: int | None
    tokens_out: int | None
    cost: int


@dataclass(frozen=True)
class Set:
    """The attempts for a task, one after the other; `ago` is when the first one began, in minutes before the end."""

    owner: int
    agent: str
    task_type: str | None
    ago: int
    plan: tuple[Planned, ...]


@dataclass(frozen=True)
class Made:
    """One attempt as it came about."""

    of: Set
    number: int
    planned: Planned
    began: datetime
    ended: datetime

    @property
    def total_ms(self) -> int:
        return round(self.planned.seconds * 1000)

    @property
    def answered(self) -> bool:
        return self.planned.outcome is Outcome.COMPLETED

    @property
    def fell_back(self) -> bool:
        before = self.of.plan[: self.number - 1]
        return self.answered and any(
            other.outcome is Outcome.FAILED and other.model != self.planned.model for other in before
        )


def planned(outcomes: Sequence[Outcome]) -> st.SearchStrategy[Planned]:
    tokens = st.none() | st.integers(0, 5000)
    return st.builds(
        Planned,
        st.sampled_from(MODELS),
        st.sampled_from(outcomes),
        st.booleans(),
        st.integers(1, 700_000).map(lambda milliseconds: milliseconds / 1000),
        tokens,
        tokens,
        st.integers(0, 10**9),
    )


# Whatever failed, was raced or was cut; and at the end an answer, or none.
_PLANS = st.builds(lambda before, last: (*before, last), st.lists(planned(ENDED[1:]), max_size=2), planned(ENDED))
# What reaches far back takes many days to be rolled up.
_REACHES = st.sampled_from([130, 130, 2 * 24 * 60, 2 * 24 * 60, 40 * 24 * 60])


def _histories(reach: int) -> st.SearchStrategy[list[Set]]:
    ago = st.integers(0, reach) | _EDGES.filter(lambda minutes: minutes <= reach)
    sets = st.builds(Set, st.integers(0, 2), st.sampled_from(AGENTS), st.none() | st.sampled_from(TYPES), ago, _PLANS)
    return st.lists(sets, min_size=1, max_size=25)


HISTORIES = _REACHES.flatmap(_histories)


def made(of: Set, end: datetime) -> list[Made]:
    """The attempts of the set; who is asked beside another begins in the middle of its time."""
    before: list[Made] = []
    begins = end - timedelta(minutes=of.ago)
    for number, plan in enumerate(of.plan, 1):
        if before:
            last = before[-1]
            begins = last.began + (last.ended - last.began) / 2 if plan.beside else max(one.ended for one in before)
        before.append(Made(of, number, plan, begins, begins + timedelta(seconds=plan.seconds)))
    return before


def everything(history: Sequence[Set], end: datetime) -> list[Made]:
    return [one for of in history for one in made(of, end)]


def write(
    connection: sa.Connection, history: Sequence[Set], end: datetime, at: datetime, owners: list[Principal]
) -> None:
    """The rows as they are at that moment: what began later is not there, what ends later is open."""
    for table in (route_decisions, attempts, tasks):
        connection.execute(table.delete())
    rows: dict[sa.Table, list[dict[str, Any]]] = {tasks: [], route_decisions: [], attempts: []}
    for place, of in enumerate(history):
        begun = [one for one in made(of, end) if one.began <= at]
        if begun:
            _add(rows, place, begun, at, owners[of.owner])
    for table, some in rows.items():
        if some:
            connection.execute(table.insert(), some)


def _add(
    rows: dict[sa.Table, list[dict[str, Any]]], place: int, begun: list[Made], at: datetime, owner: Principal
) -> None:
    of, owned = begun[0].of, owned_by(owner)
    ids = owned | {"task_id": id_of("task", place), "attempt_set": 1}
    rows[tasks].append(
        owned
        | {
            "id": id_of("task", place), "agent_id": agent_id(owner, of.agent), "agent_name": of.agent,
            "agent_version": 1, "status": "completed", "prompt": "Say hello", "priority": 1, "parameters": {},
            "attempt_set": 1, "recoveries": 0, "cancel_requested": False, "running": False, "partial": False,
            "created_at": begun[0].began, "updated_at": begun[0].began, "turn": 1,
        }
    )  # fmt: skip
    if of.task_type is not None:
        decided = {"task_type": of.task_type, "decision": {}, "created_at": begun[0].began}
        rows[route_decisions].append(ids | decided)
    rows[attempts] += [ids | {"id": id_of("attempt", place, one.number)} | _row(one, at) for one in begun]


def _row(one: Made, at: datetime) -> dict[str, Any]:
    provider, _, model = one.planned.model.partition("/")
    row = {"number": one.number, "provider": provider, "model": model, "started_at": one.began}
    ended = {
        "outcome": one.planned.outcome, "ended_at": one.ended, "total_ms": one.total_ms,
        "tokens_in": one.planned.tokens_in, "tokens_out": one.planned.tokens_out, "cost_nanousd": one.planned.cost,
    }  # fmt: skip
    return row | (ended if one.ended <= at else dict.fromkeys(ended) | {"outcome": Outcome.OPEN})


def write_agents(connection: sa.Connection, owners: Iterable[Principal], at: datetime) -> None:
    for owner in owners:
        for name in AGENTS:
            kept = owned_by(owner) | {"created_at": at}
            row = {"id": agent_id(owner, name), "name": name, "type": "researcher", "status": "active", "version": 1}
            connection.execute(agents.insert(), kept | row | {"updated_at": at})
            connection.execute(
                agent_versions.insert(), kept | {"agent_id": agent_id(owner, name), "version": 1, "config": {}}
            )


def owned_by(owner: Principal) -> dict[str, str]:
    return {"organisation_id": owner.organisation_id, "owner_id": owner.user_id}


def agent_id(owner: Principal, name: str) -> str:
    return id_of("agent", owner.user_id, name)


def id_of(*parts: object) -> str:
    return str(uuid5(NAMESPACE_OID, repr(parts)))


def numbers(some: Iterable[Made]) -> dict[str, Any]:
    """What these attempts come to."""
    every = list(some)
    answers = [one for one in every if one.answered]
    times = sorted(one.total_ms for one in answers)
    return {
        "tasks": sum(one.number == 1 for one in every),
        "attempts": len(every),
        "completed": len(answers),
        "fallbacks": sum(one.fell_back for one in every),
        "hedges": sum(one.number > 1 and one.planned.beside for one in every),
        "tokens_in": sum(one.planned.tokens_in or 0 for one in every),
        "tokens_out": sum(one.planned.tokens_out or 0 for one in every),
        "cost_usd": sum(one.planned.cost for one in every) / 1e9,
    } | {name: percentile(times, share) for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))}


def percentile(times: list[int], share: float) -> int | None:
    """As the sketch tells it, whose buckets are laid out here by their definition."""
    if not times:
        return None
    ranked = sorted(bisect_left(_BOUNDS, time) for time in times)
    return round(2 * _BASE ** ranked[math.floor(share * (len(times) - 1))] / (_BASE + 1))


def group_of(one: Made, group_by: str, at: datetime, owners: list[Principal]) -> str:
    return {
        "provider": one.planned.model.partition("/")[0],
        "model": one.planned.model,
        "agent": one.of.agent,
        "user": owners[one.of.owner].name,
        "task_type": one.of.task_type or "general",
        "day": at.astimezone(UTC).date().isoformat(),
    }[group_by]
