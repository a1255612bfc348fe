"""Tasks are listed, counted and exported as a plain filter of the rows would have them, each reader's own."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import sqlalchemy as sa
from people import Front, front
from times import examples
from waits import until

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.models import Outcome, Principal, TaskStatus, TaskType
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services import tasks as tasks_service
from vel_tutor_mcp.services.reports import listed_task
from vel_tutor_mcp.store import paging, search_tables, tables, task_texts
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.task_lists import ListedTask, TaskFilter

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATUSES = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
TYPES = (None, TaskType.RESEARCH, TaskType.CREATIVE)
MODELS = (("groq", "openai/gpt-oss-20b"), ("openai", "gpt-4o"), ("local", "gpt-4o"), (None, None))
PROMPTS = ("100% sure", "100 of them", "=1+1", "@SUM(A1)", "-2", "Ünïcode Straße", "a_b\\c/d", 'A, "b"\nc', "x" * 700)
TEXTS = ("100", "100%", "SURE", "_", "\\", "/", "straße", 'b"\nC', "x" * 200, "nowhere", "", "1")
ROWS = 60

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """An organisation with tasks of two members, and of whom they are."""

    app: App
    owner: Principal
    other: Principal
    chief: Principal
    rows: list[Row]

    def seen_by(self, who: Principal) -> list[Row]:
        """Newest first."""
        seen = [row for row in self.rows if who is self.chief or row["owner_id"] == who.user_id]
        return sorted(seen, key=lambda row: (row["created_at"], row["id"]), reverse=True)


@pytest.fixture(scope="module")
async def place(app: App) -> Place:
    desk, name, dice = front(app), f"lists {uuid4()}", Random(10)
    owner, other, chief = [
        (await desk.join(role, name)).principal for role in ("task_executor", "task_executor", "org_admin")
    ]
    agents = {who.user_id: (await app.agents.list(who)).rows[0] for who in (owner, other)}
    rows = [_row(dice, agents[dice.choice([owner, other]).user_id]) for _ in range(ROWS)]
    calls = [_call(dice, row, number) for row in rows for number in range(dice.randrange(3))]
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(tables.tasks.insert(), rows)
        await tx.execute(search_tables.task_texts.insert(), list(map(task_texts.row, rows)))
        await tx.execute(tables.attempts.insert(), calls)
    for row in rows:
        row["calls"] = [call for call in calls if call["task_id"] == row["id"]]
    return Place(app, owner, other, chief, rows)


def _row(dice: Random, agent: Any) -> Row:
    provider, model = dice.choice(MODELS)
    at = NOON + timedelta(hours=dice.randrange(20))
    return {
        "id": str(UUID(int=dice.getrandbits(128), version=4)), "organisation_id": agent.organisation_id,
        "owner_id": agent.owner_id, "agent_id": agent.id, "agent_name": agent.name, "agent_version": 1,
        "status": dice.choice(STATUSES), "prompt": dice.choice(PROMPTS), "task_type": dice.choice(TYPES),
        "inferred_type": dice.choice(TYPES), "priority": 1, "parameters": {}, "attempt_set": 1, "recoveries": 0,
        "cancel_requested": False, "running": False, "partial": False, "provider": provider, "model": model,
        "created_at": at, "updated_at": at, "ended_at": at + timedelta(milliseconds=dice.randrange(5000)),
    }  # fmt: skip


def _call(dice: Random, row: Row, number: int) -> Row:
    return {
        "id": str(uuid4()), "organisation_id": row["organisation_id"], "owner_id": row["owner_id"],
        "task_id": row["id"], "attempt_set": 1, "number": number, "provider": "groq", "model": "m",
        "outcome": Outcome.FAILED, "cost_nanousd": dice.choice([None, 5_000_000, 1]), "started_at": row["created_at"],
    }  # fmt: skip


def filters(place: Place, count: int) -> Iterator[TaskFilter]:
    """What is found often, and so many of what is not."""
    dice = Random(11)
    agents = [row["agent_id"] for row in place.rows]
    models = ["gpt-4o", "openai/gpt-4o", "openai/gpt-oss-20b", "groq/openai/gpt-oss-20b", "gpt-4", "groq/gpt-4o"]
    times = [(NOON + timedelta(hours=hour)).isoformat() for hour in range(20)]
    choices: dict[str, list[Any]] = {
        "status": list(STATUSES), "agent": agents, "query": list(TEXTS), "provider": ["groq", "openai", "nobody"],
        "model": models, "task_type": [TaskType.RESEARCH, TaskType.CREATIVE], "since": times, "until": times,
    }  # fmt: skip
    yield from (TaskFilter(query="1"), TaskFilter())
    for _ in range(count):
        yield TaskFilter(**{name: dice.choice(some) for name, some in choices.items() if dice.random() < 0.25})


def fits(row: Row, wanted: TaskFilter) -> bool:
    """The meaning of the filter, without a database."""
    name = f"{row['provider']}/{row['model']}"
    return (
        wanted.status in {None, row["status"]}
        and wanted.agent in {None, row["agent_id"]}
        and (wanted.query or "").casefold() in row["prompt"].casefold()
        and wanted.provider in {None, row["provider"]}
        and wanted.model in {None, row["model"], name}
        and wanted.task_type in {None, row["task_type"] or row["inferred_type"]}
        and (wanted.since is None or datetime.fromisoformat(wanted.since) <= row["created_at"])
        and (wanted.until is None or row["created_at"] < datetime.fromisoformat(wanted.until))
    )


def summed(row: Row) -> tuple[Any, ...]:
    return row["id"], len(row["calls"]), sum(call["cost_nanousd"] or 0 for call in row["calls"])


def shown(task: ListedTask) -> tuple[Any, ...]:
    return task.id, task.attempts, task.cost_nanousd


@pytest.mark.parametrize("few", [0, 1000], ids=["many are found", "few are found"])
async def test_a_list_its_total_and_its_pages_are_those_of_a_plain_filter(
    place: Place, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_FEW", few)
    found = 0
    for number, wanted in enumerate(filters(place, examples(40))):
        who = [place.owner, place.other, place.chief][number % 3]
        if wanted.agent is not None and who is not place.chief:
            continue  # whose agents are one's own: see below
        expected = [summed(row) for row in place.seen_by(who) if fits(row, wanted)]
        listed = place.app.tasks.list
        page = await listed(who, wanted, limit=100)
        assert (wanted, list(map(shown, page.rows))) == (wanted, expected)
        start = number % (len(expected) + 2)
        part = await listed(who, wanted, limit=7, cursor=start)
        assert (wanted, part.total, list(map(shown, part.rows))) == (wanted, len(expected), expected[start : start + 7])
        assert part.more == (start + 7 < len(expected))
        if part.more:
            behind = await listed(who, wanted, limit=100, cursor=part.cursor)
            assert list(map(shown, behind.rows)) == expected[start + 7 :]
        found += len(expected)
    assert found > ROWS


SIGNS = "aAB%_/\\'*ßẞKİΣςДдÅÉé日本\n1\N{LATIN SMALL LETTER LONG S}\N{KELVIN SIGN}\N{LATIN SMALL LETTER DOTLESS I}"


async def test_a_search_finds_what_has_the_text_without_case_in_any_script_and_no_sign_stands_for_another(
    app: App, desk: Front
) -> None:
    chief, dice = (await desk.join("org_admin", f"searches {uuid4()}")).principal, Random(13)
    agent = (await app.agents.list(chief)).rows[0]
    prompts = ["".join(dice.choices(SIGNS, k=dice.randrange(1, 9))) for _ in range(90)]
    rows = [_row(dice, agent) | {"prompt": prompt} for prompt in prompts]
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(tables.tasks.insert(), rows)
        await tx.execute(search_tables.task_texts.insert(), list(map(task_texts.row, rows)))
    for _ in range(examples(60)):
        prompt, start = dice.choice(prompts), dice.randrange(4)
        cased = dice.choice((str, str.upper, str.lower, str.swapcase))
        text = cased(prompt[start : start + dice.randrange(1, 5)]) or dice.choice(SIGNS)
        having = sorted(row["id"] for row in rows if text.casefold() in row["prompt"].casefold())
        found = await app.tasks.list(chief, TaskFilter(query=text), limit=100)
        assert (text, sorted(task.id for task in found.rows)) == (text, having)


async def test_what_an_older_server_adds_is_found_once_care_has_seen_it(app: App, desk: Front) -> None:
    chief = (await desk.join("org_admin", f"upgrades {uuid4()}")).principal
    # It looks for them by itself when it begins, then each hour.
    await until(lambda: record.now() - app._care._tidied_at < timedelta(minutes=30))
    row = _row(Random(14), (await app.agents.list(chief)).rows[0])
    row |= {"prompt": "Ünïcode of an older server", "created_at": record.now()}
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(tables.tasks.insert(), row)
    wanted = TaskFilter(query="ÜNÏCODE")
    assert (await app.tasks.list(chief, wanted)).rows == ()
    await app._care.complete_texts()
    assert [task.id for task in (await app.tasks.list(chief, wanted)).rows] == [row["id"]]
    await app._care.complete_texts()
    assert len((await app.tasks.list(chief, wanted)).rows) == 1


async def test_what_is_exported_is_the_list(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_service, "_EXPORTED_AT_ONCE", 7)
    for wanted in (TaskFilter(), TaskFilter(status=TaskStatus.FAILED), TaskFilter(query="nowhere")):
        listed = [listed_task(row) for row in (await place.app.tasks.list(place.chief, wanted, limit=100)).rows]
        assert json.loads(await exported(place, wanted, "json")) == listed
        table = list(csv.DictReader(io.StringIO(await exported(place, wanted, "csv"), newline="")))
        assert [unquoted(line["prompt"]) for line in table] == [row["prompt"] for row in listed]
        assert [(line["id"], float(line["cost_usd"]), int(line["attempts"]), line["error"]) for line in table] == [
            (row["id"], row["cost_usd"], row["attempts"], "") for row in listed
        ]


async def exported(place: Place, wanted: TaskFilter, form: Any) -> str:
    text = await place.app.tasks.export(place.chief, wanted, form)
    return "".join([piece async for piece in text])


def unquoted(cell: str) -> str:
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return cell.removeprefix("'")


async def test_over_rest_there_are_the_same_filters_and_files(http: httpx2.AsyncClient, app: App) -> None:
    me = app.local_principal
    agent = (await app.agents.list(me)).rows[0]
    row = _row(Random(12), agent) | {"prompt": "=HYPERLINK(1)", "provider": "groq", "model": "openai/gpt-oss-20b"}
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(tables.tasks.insert(), row)
        await task_texts.add(tx, row)
    params = {"query": "hyperlink", "model": "groq/openai/gpt-oss-20b", "since": "2026-11-20", "until": "2026-11-22"}
    (listed,) = (await http.get("/api/tasks", params=params)).json()["data"]
    assert (listed["id"], listed["attempts"], listed["cost_usd"]) == (row["id"], 0, 0)
    assert listed["total_ms"] == (row["ended_at"] - row["created_at"]).total_seconds() * 1000
    table = await http.get("/api/tasks/export", params=params)
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"] == 'attachment; filename="tasks.csv"'
    assert table.text.splitlines()[1].endswith(",'=HYPERLINK(1)")
    whole = await http.get("/api/tasks/export", params=params | {"format": "json"})
    assert [task["id"] for task in whole.json()] == [row["id"]]
    for path in ("/api/tasks", "/api/tasks/export"):
        assert (await http.get(path, params={"since": "yesterday"})).status_code == 400
        assert (await http.get(path, params={"agent_id": "nobody"})).status_code == 404


async def test_another_organisations_tasks_and_agents_are_nowhere(place: Place, desk: Front) -> None:
    stranger = (await desk.join("org_admin", f"elsewhere {uuid4()}")).principal
    assert (await place.app.tasks.list(stranger, TaskFilter(query="100"), cursor=0)).total == 0
    with pytest.raises(NotFound, match="no such agent"):
        await place.app.tasks.list(stranger, TaskFilter(agent=place.rows[0]["agent_id"]))
    with pytest.raises(InputError, match="`since` is not a time"):
        await place.app.tasks.list(stranger, TaskFilter(since="yesterday"))


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True, scope="module")
async def test_a_list_is_counted_and_found_in_an_index_alone(place: Place) -> None:
    """Else each row is read, with its prompt and output. SQLite tells so; PostgreSQL goes by what it has counted."""
    statements: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = place.app._parts.database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    wanted = TaskFilter(provider="groq", model="openai/gpt-oss-20b", task_type=TaskType.RESEARCH, since="2026-11-01")
    try:
        await place.app.tasks.list(place.chief, wanted, cursor=5)
        await place.app.tasks.list(place.owner, wanted, cursor=5)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    narrow = [text for text in statements if "FROM tasks" in text and "tasks.provider = ?" in text]
    assert len(narrow) == 4
    async with place.app._parts.database.read(INSTALLATION) as tx:
        for text in narrow:
            plan = await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (None,) * text.count("?"))
            told = " ".join(row.detail for row in plan)
            assert "COVERING INDEX ix_tasks_of_o" in told, f"{told}: {text}"
