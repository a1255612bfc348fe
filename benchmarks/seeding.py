"""Many tasks of a team with all that they leave behind: attempts, decisions, history, bookings and audit entries.

They are written as rows, as the product would leave them, from dice with a fixed seed; the chain of the audit trail
holds. The people are of the default organisation, whose administrator is the local user.
"""

import asyncio
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.models import FailureKind, Outcome, TaskStatus
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.ledger import Prices, usd
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import audit, audit_tables, money_tables, search_tables, tables, task_texts
from vel_tutor_mcp.store.audit_chain import canonical, row_hash
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.people_tables import users
from vel_tutor_mcp.store.places import database_of

TASKS = 100_000
PEOPLE = 20
AGENTS = ("writer", "coder", "reviewer", "researcher", "translator")
MODELS = (
    "groq/openai/gpt-oss-20b",
    "openai/gpt-4o-mini",
    "groq/openai/gpt-oss-120b",
    "openai/gpt-4o",
    "openai/gpt-5-mini",
    "groq/llama-3.3-70b-versatile",
)
TYPES = (
    "general", "code_generation", "summarization", "reasoning", "extraction", "code_debug", "translation", "research",
    "creative",
)  # fmt: skip

_BATCH = 2_000
_SEED = 20261126
_WORDS = (
    "the", "quick", "answer", "of", "a", "model", "to", "what", "one", "us", "asked", "before", "lunch", "about",
    "invoices", "parsers", "and", "old", "contracts", "again",
)  # fmt: skip
_FATES = {TaskStatus.COMPLETED: 95, TaskStatus.FAILED: 3, TaskStatus.CANCELLED: 2}
# Of those that are answered so many after a failure, and so many by who was asked beside the first.
_FALLBACK, _RACED = 0.06, 0.03
# And of so many the decision is another one than most often.
_UNUSUAL = 0.3

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    agents: Mapping[str, str]


async def fill(
    settings: Settings, tasks: int = TASKS, span: timedelta = timedelta(days=30), *, trail: bool = True
) -> None:
    """Make the tables where they are missing, and so many tasks that ended within the span before now; without a trail
    they have no history, decisions and audit entries, of which no usage is told.
    """
    async with open_app(settings) as app:
        me = app.local_principal
    database = database_of(settings)
    try:
        await asyncio.to_thread(_fill, database, me.organisation_id, tasks, span, trail=trail)
    finally:
        await database.close()


def _fill(database: Database, organisation_id: str, tasks: int, span: timedelta, *, trail: bool) -> None:
    engine = database.blocking_engine(INSTALLATION)
    newest = sa.select(audit_tables.audit_logs.c.sequence, audit_tables.audit_logs.c.hash)
    with engine.begin() as connection:
        last = connection.execute(newest.order_by(audit_tables.audit_logs.c.sequence.desc()).limit(1)).one()
    made = _Making(Random(_SEED), organisation_id, last.sequence, last.hash, trail=trail)
    made.add_people(datetime.now(UTC) - span)
    moments = _moments(tasks, span)
    while some := list(islice(moments, _BATCH)):
        for at in some:
            made.add_task(at)
        with engine.begin() as connection:
            made.write(connection)
    if database.engine_schema is not None:  # PostgreSQL does so by itself, a minute later
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def _moments(count: int, span: timedelta) -> Iterator[datetime]:
    end = datetime.now(UTC) - timedelta(minutes=1)
    return (end - span * (1 - (number + 0.5) / count) for number in range(count))


class _Making:
    """Rows that wait to be written, by their table. What stands first in a list is chosen more often."""

    def __init__(self, dice: Random, organisation_id: str, sequence: int, last_hash: str, *, trail: bool) -> None:
        self._trail = trail
        self._dice = dice
        self._organisation_id = organisation_id
        self._sequence = sequence
        self._hash = last_hash
        self._people: list[Person] = []
        self._rows: dict[sa.Table, list[Row]] = {
            table: []
            for table in (
                users, tables.agents, tables.agent_versions, tables.tasks, search_tables.task_texts, tables.attempts,
                tables.route_decisions, tables.task_events, money_tables.ledger, audit_tables.audit_logs,
            )
        }  # fmt: skip
        self._catalog = Catalog.load()
        self._prices = Prices(self._catalog)

    def add_people(self, at: datetime) -> None:
        for number in range(PEOPLE):
            person = Person(self._id(), f"person {number}", {name: self._id() for name in AGENTS})
            self._people.append(person)
            times = {"created_at": at, "updated_at": at}
            self._rows[users].append(
                {"id": person.id, "organisation_id": self._organisation_id, "name": person.name}
                | times
                | {"role": "task_executor"}
            )
            owned = self._owned(person)
            for name, agent_id in person.agents.items():
                agent = {"id": agent_id, "name": name, "type": "researcher", "status": "active", "version": 1}
                self._rows[tables.agents].append(owned | agent | times)
                version = {"agent_id": agent_id, "version": 1, "config": {}, "created_at": at}
                self._rows[tables.agent_versions].append(owned | version)

    def add_task(self, at: datetime) -> None:
        """One that ended at `at` or a little later."""
        person = self._one_of(self._people)
        agent = self._one_of(AGENTS)
        task_type = self._one_of(TYPES)
        (status,) = self._dice.choices(list(_FATES), list(_FATES.values()))
        task: Row = self._owned(person) | {
            "id": self._id(), "agent_id": person.agents[agent], "agent_name": agent, "agent_version": 1,
            "status": status, "prompt": self._words(30), "task_type": None, "inferred_type": task_type, "priority": 1,
            "parameters": {}, "attempt_set": 1, "recoveries": 0, "cancel_requested": False, "executor": "seeding",
            "running": False, "partial": False, "created_at": at, "started_at": at, "turn": 1,
            "output": None, "provider": None, "model": None, "error_code": None, "error_message": None,
        }  # fmt: skip
        self._note(task, person, "submitted", "submitted", 0, at)
        self._audit(task, person, "task_submitted", {"agent": agent, "agent_version": 1, "priority": "medium"}, at)
        models = self._dice.sample(MODELS, k=2) if self._dice.random() < _UNUSUAL else list(MODELS[:2])
        self._decide(task, person, task_type, models, at)
        attempts = self._attempts(status, models)
        for number, (model, outcome, begins, ends) in enumerate(attempts, 1):
            self._attempt(task, person, number, model, outcome, at + begins, at + ends)
        answered = next((model for model, outcome, _, _ in attempts if outcome is Outcome.COMPLETED), None)
        end = at + max(ends for _, _, _, ends in attempts)
        task |= {"ended_at": end, "updated_at": end}
        if answered:
            provider, _, model = answered.partition("/")
            task |= {"provider": provider, "model": model, "output": self._words(60)}
        if status is TaskStatus.FAILED:
            task |= {"error_code": "provider_failed", "error_message": "All that were asked failed."}
        self._note(task, person, status, f"answered by {answered}" if answered else status, 100, end)
        self._audit(task, person, f"task_{status}", {}, end)
        self._rows[tables.tasks].append(task)
        self._rows[search_tables.task_texts].append(task_texts.row(task))

    def write(self, connection: sa.Connection) -> None:
        for table, rows in self._rows.items():
            if rows:
                connection.execute(table.insert(), rows)
                rows.clear()

    def _attempts(self, status: TaskStatus, models: list[str]) -> list[tuple[str, Outcome, timedelta, timedelta]]:
        """Model, outcome, begin and end of each call."""
        first, second = models
        nothing, early, late = timedelta(0), *sorted((self._takes(), self._takes() + timedelta(milliseconds=1)))
        match status:
            case TaskStatus.FAILED:
                return [(first, Outcome.FAILED, nothing, early), (second, Outcome.FAILED, early, early + late)]
            case TaskStatus.CANCELLED:
                return [(first, Outcome.CANCELLED, nothing, early)]
        how = self._dice.random()
        if how < _FALLBACK:
            return [(first, Outcome.FAILED, nothing, early), (second, Outcome.COMPLETED, early, early + late)]
        if how < _FALLBACK + _RACED:
            return [(first, Outcome.CANCELLED, nothing, early), (second, Outcome.COMPLETED, early / 2, late)]
        return [(first, Outcome.COMPLETED, nothing, early)]

    def _takes(self) -> timedelta:
        return timedelta(milliseconds=round(200 + math.exp(self._dice.gauss(7, 0.8))))

    def _attempt(
        self, task: Row, person: Person, number: int, name: str, outcome: Outcome, begin: datetime, end: datetime
    ) -> None:
        provider, _, model = name.partition("/")
        answered = outcome is Outcome.COMPLETED
        tokens_in, tokens_out = (
            (self._dice.randint(20, 4000), self._dice.randint(10, 1500)) if answered else (None, None)
        )
        cost = self._prices.cost(self._catalog.find(name), tokens_in or 0, tokens_out or 0)
        assert cost is not None
        total_ms = round((end - begin) / timedelta(milliseconds=1))
        attempt_id, ids = self._id(), self._owned(person) | {"task_id": task["id"]}
        self._rows[tables.attempts].append(
            ids
            | {
                "id": attempt_id, "attempt_set": 1, "number": number, "provider": provider, "model": model,
                "served_model": model, "outcome": outcome, "tokens_in": tokens_in, "tokens_out": tokens_out,
                "failure": FailureKind.SERVER_ERROR if outcome is Outcome.FAILED else None,
                "error": None if answered else f"{name} did not answer", "cost_nanousd": cost,
                "first_token_ms": total_ms // 3 if answered else None, "total_ms": total_ms, "started_at": begin,
                "ended_at": end,
            }
        )  # fmt: skip
        self._rows[money_tables.ledger].append(
            ids
            | {
                "id": self._id(), "attempt_id": attempt_id, "agent_id": task["agent_id"],
                "reserved_nanousd": 3 * cost + 1_000_000, "settled_nanousd": cost, "reserved_at": begin,
                "settled_at": end,
            }
        )  # fmt: skip
        self._note(task, person, "attempt", f"asking {name}", 15, begin)
        payload = {
            "provider": provider, "model": model, "outcome": outcome, "failure": None, "tokens_in": tokens_in,
            "tokens_out": tokens_out, "cost_usd": usd(cost),
        }  # fmt: skip
        self._audit(task, person, "provider_called", payload, end)

    def _decide(self, task: Row, person: Person, task_type: str, models: list[str], at: datetime) -> None:
        if not self._trail:
            return
        candidates = [
            {
                "provider": name.partition("/")[0], "model": name.partition("/")[2], "p_ok": 0.9, "p_up": 0.99,
                "expected_cost_nanousd": 100_000, "expected_latency_ms": 1500, "utility": 0.008, "evidence": 0.0,
            }
            for name in models
        ]  # fmt: skip
        decision = {
            "task_type": task_type, "confidence": 0.9, "policy": "balanced", "candidates": candidates, "excluded": [],
            "reasons": ["the best value"], "propensity": 1.0,
        }  # fmt: skip
        self._rows[tables.route_decisions].append(
            self._owned(person)
            | {"task_id": task["id"], "attempt_set": 1, "task_type": task_type, "decision": decision, "created_at": at}
        )
        self._note(task, person, "route", f"{task_type}: {' -> '.join(models)}", 10, at)
        told = {"candidates": models, "policy": "balanced", "task_type": task_type}
        self._audit(task, person, "route_decided", told, at)

    def _note(self, task: Row, person: Person, kind: str, message: str, percent: int, at: datetime) -> None:
        if not self._trail:
            return
        event = {"task_id": task["id"], "kind": kind, "message": message, "percent": percent, "at": at}
        self._rows[tables.task_events].append(self._owned(person) | event)

    def _audit(self, task: Row, person: Person, action: str, payload: Row, at: datetime) -> None:
        if not self._trail:
            return
        self._sequence += 1
        row = self._owned(person) | {
            "sequence": self._sequence, "at": audit.as_text(at), "principal": person.name, "action": action,
            "subject": f"task:{task['id']}", "payload": canonical(payload), "address": "127.0.0.1",
            "user_agent": None, "previous_hash": self._hash,
        }  # fmt: skip
        self._hash = row_hash(row) or ""
        self._rows[audit_tables.audit_logs].append(row | {"hash": self._hash})

    def _owned(self, person: Person) -> Row:
        return {"organisation_id": self._organisation_id, "owner_id": person.id}

    def _id(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))

    def _words(self, count: int) -> str:
        return " ".join(self._dice.choices(_WORDS, k=count))

    def _one_of(self, those: Any) -> Any:
        weights = accumulate(1 / place for place in range(1, len(those) + 1))
        return self._dice.choices(those, cum_weights=list(weights))[0]
