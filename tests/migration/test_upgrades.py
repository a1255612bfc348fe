"""Upgrades of databases with data in them: what earlier versions wrote is kept, and goes on to work; what those that
still run write meanwhile is taken.

`first_version.json` is what the first version really wrote (commit 394af0e, the last of revision 0001) before it was
killed: one table after the other, as SQLite keeps them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from revisions import REVISIONS, NewPlace, columns_of, connected, insert, migrated, row_of, shape
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.models import Outcome, TaskRequest, TaskStatus
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.columns import Utc
from vel_tutor_mcp.store.tables import metadata

FIRST = json.loads((Path(__file__).parent / "first_version.json").read_text(encoding="utf-8"))
ITS_USER = "ada"
WAIT_SECONDS = 30.0

Row = dict[str, Any]
Written = list[tuple[str, Row]]
Columns = Mapping[str, list[str]]


def written(connection: sa.Connection, columns: Columns, number: int) -> Written:
    """A row more in each table, as a version writes it that knows these columns."""
    ids = {table: str(uuid4()) for table in columns}
    made = [(table, row_of(table, names, ids, number)) for table, names in columns.items()]
    for table, row in made:
        insert(connection, table, row)
    return made


def stored(connection: sa.Connection) -> dict[tuple[str, ...], Row]:
    """Every row of ours, by its table and what tells it from others there."""
    return {
        (name, *(str(row[column.name]) for column in table.primary_key)): dict(row)
        for name, table in metadata.tables.items()
        for row in connection.execute(sa.select(table)).mappings()
    }


def as_written(rows: dict[tuple[str, ...], Row], table: str, row: Row) -> Row:
    """The row as it is now, in the columns that it was written with."""
    now = rows[table, *(str(row[column.name]) for column in metadata.tables[table].primary_key)]
    return {name: now[name] for name in row}


def test_rows_of_every_revision_are_kept_and_what_its_processes_still_write_is_taken(new_place: NewPlace) -> None:
    place, fresh = new_place(), migrated(new_place())
    numbers, made, known = count(1), [], {}
    for revision in REVISIONS:
        with connected(place) as connection:
            schema.to_revision(connection, revision)
            known[revision] = columns_of(connection)
            made += written(connection, known[revision], next(numbers))
    with connected(place) as connection:
        for columns in known.values():
            made += written(connection, columns, next(numbers))
        rows = stored(connection)
    filled = REVISIONS.index("0017")  # which gives each task of before a row with its text
    assert len(rows) == len(made) + filled
    assert [as_written(rows, table, row) for table, row in made] == [row for _, row in made]
    assert shape(place) == shape(fresh)


@pytest.fixture
def first_settings(place: Settings, providers: Providers, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """For a database that the first version left, of its user."""
    monkeypatch.setenv("LOGNAME", ITS_USER)
    with connected(place) as connection:
        schema.to_revision(connection, REVISIONS[0])
        for table, rows in FIRST.items():
            for row in rows:
                insert(connection, table, {name: value_of(table, name, value) for name, value in row.items()})
    url = place.database_url and place.database_url.get_secret_value()
    return settings_for(providers, place.home, database_url=url)


def value_of(table: str, column: str, kept: Any) -> Any:
    """What SQLite keeps so."""
    kind = metadata.tables[table].c[column].type
    if kept is None:
        return None
    if isinstance(kind, Utc):
        return datetime.fromisoformat(kept).replace(tzinfo=UTC)
    if isinstance(kind, sa.JSON):
        return json.loads(kept)
    return bool(kept) if isinstance(kind, sa.Boolean) else kept


# Of each task the first version's calls as it stored them, where they had ended, and what became of the task.
COMPLETED, FAILED, CANCELLED, CUT = Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED, Outcome.CUT
ENDS = {
    "Say hello, grün-日本": (TaskStatus.COMPLETED, [COMPLETED]),
    "Fall back": (TaskStatus.COMPLETED, [FAILED, COMPLETED]),
    "Be refused": (TaskStatus.FAILED, [FAILED]),
    "Be cancelled": (TaskStatus.CANCELLED, [CANCELLED]),
    "Be cut": (TaskStatus.COMPLETED, [CUT, COMPLETED]),
    "Wait your turn": (TaskStatus.COMPLETED, [COMPLETED]),
}


@pytest.mark.anyio
async def test_what_the_first_version_left_is_told_as_it_was_and_its_work_goes_on(
    first_settings: Settings, providers: Providers
) -> None:
    async with open_app(first_settings) as app:
        me = app.local_principal
        told = {row["prompt"]: await app.tasks.follow(me, row["id"], WAIT_SECONDS) for row in FIRST["tasks"]}
        again = await app.tasks.submit(me, TaskRequest(prompt="Say hello, grün-日本", idempotency_key="first"))
        await app.tasks.retry(me, told["Be refused"].task.id)
        retried = await app.tasks.follow(me, told["Be refused"].task.id, WAIT_SECONDS)
        verdict = await app.audit.verify(me)

    costs = {attempt.id: attempt.cost_nanousd for one in told.values() for attempt in one.attempts}
    assert {prompt: (one.task.status, [each.outcome for each in one.attempts]) for prompt, one in told.items()} == ENDS
    assert all(costs[as_id(row["attempt_id"])] == booked(row) for row in FIRST["ledger"])
    assert (again.id, retried.task.status) == (told["Say hello, grün-日本"].task.id, TaskStatus.COMPLETED)
    assert verdict.fault is None
    asked = sorted(request.prompt for one in (providers.groq, providers.openai) for request in one.requests)
    assert asked == ["Be cut", "Be refused", "Wait your turn"]


def as_id(kept: str) -> str:
    return str(UUID(kept))


def booked(row: Row) -> int:
    """A call whose end nobody knows is booked at its reservation."""
    cost: int = row["reserved_nanousd"] if row["settled_nanousd"] is None else row["settled_nanousd"]
    return cost
