"""Upgrades of databases with data in them: what earlier versions wrote is kept, and goes on to work; what those that
still run write meanwhile is taken.

`first_version.json` is what the first version really wrote (commit 394af0e, the last of revision 0001) before it was
killed: one table after the other, as SQLite keeps them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from postgresql import PostgresServer, query
from revisions import REVISIONS, NewPlace, columns_of, connected, insert, migrated, row_of, shape
from server import one_sentence
from waits import block_until
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.errors import Unavailable
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


@contextmanager
def in_turn(before: str, run: Callable[[], Any], waits: Callable[[], bool]) -> Iterator[None]:
    """Let another begin to run, and to wait for us, just before our statement that begins so; it has ended after us."""
    with ThreadPoolExecutor(1) as other:

        def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(before):
                other.submit(run)
                block_until(waits)

        sa.event.listen(sa.Engine, "before_cursor_execute", look)
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", look)


def test_an_upgrade_and_a_running_process_that_wait_for_each_other_both_get_on_when_the_upgrade_is_tried_again(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    place = Settings.model_validate({"home": tmp_path, "database_url": postgres_url})
    with connected(place) as connection:
        schema.to_revision(connection, "0017")
    # The server breaks off whoever finds it out first.
    patience = f"ALTER DATABASE {urlsplit(postgres_url).path[1:]} SET deadlock_timeout ="
    postgres.admin(f"{patience} '1h'")
    with psycopg.connect(postgres_url, options="-c vel_tutor.organisation=installation") as running:
        running.execute("SELECT FROM vel_tutor.runs")
        postgres.admin(f"{patience} '10ms'")
        wanted = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'vel_tutor.tasks'::regclass"
        write = partial(running.execute, "UPDATE vel_tutor.tasks SET priority = priority")
        upgrading = in_turn("ALTER TABLE runs", write, lambda: bool(query(postgres_url, wanted)))
        with upgrading, pytest.raises(Unavailable, match="got in the way of others") as told:
            migrated(place)
    assert one_sentence(str(told.value))
    with connected(migrated(place)) as connection:
        assert schema.present(connection) == REVISIONS[-1]


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
