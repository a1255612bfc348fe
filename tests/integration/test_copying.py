"""A copy is the whole of the source or nothing, on each kind of database, and nobody writes meanwhile."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from copies import Row, chained, dump, fill, row_count, writing
from full import full_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgresql import PostgresServer, query
from stores import DATABASES, clear, unguarded
from times import examples
from waits import block_until
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app, upgrade
from vel_tutor_mcp.errors import Unavailable, VelError
from vel_tutor_mcp.execution.liveness import lease_on
from vel_tutor_mcp.models import TaskRequest, TaskStatus
from vel_tutor_mcp.services.moving import move
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.columns import Utc
from vel_tutor_mcp.store.copying import Step
from vel_tutor_mcp.store.places import database_at
from vel_tutor_mcp.store.tables import metadata

pytestmark = pytest.mark.anyio

NewUrl = Callable[[str], str]

WAYS = list(product(DATABASES, DATABASES))
NOW = datetime(2026, 11, 23, 8, 30, 15, 123456, tzinfo=UTC)
ODD_TEXT = "ünï 世界 🦉 \u202e 'quoted' \\x00 %s"
WRITER = 0x76656C01
PLAIN_VALUES: dict[type, Any] = {
    Utc: NOW,
    sa.JSON: {"b": 1, "a": [None, 1.0]},
    sa.Uuid: str(uuid4()),
    sa.Boolean: True,
    sa.Integer: 1,
    sa.Float: 0.1,
    sa.String: ODD_TEXT[:10],
    sa.LargeBinary: b"\0\xff",
}
TABLES_OF_ALL = """
SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 2
"""
CUT_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'
"""


@pytest.fixture(scope="module")
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewUrl]:
    """Makes empty databases of a kind."""
    with ExitStack() as stack:

        def made(kind: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('place') / 'file.db'}"
            server: PostgresServer = request.getfixturevalue("postgres")
            url = server.new_database()
            stack.callback(server.drop, url)
            return url

        yield made


@pytest.fixture(scope="module")
def ready(new_url: NewUrl) -> Callable[[str], str]:
    """A database of each kind with all tables, used again and again: `kind` and a number name it."""
    urls: dict[str, str] = {}

    def of(name: str) -> str:
        if name not in urls:
            urls[name] = new_url(name.split(maxsplit=1)[0])
            upgrade(database_at(urls[name]))
        with writing(database_at(urls[name])) as connection:
            clear(connection)
        return urls[name]

    return of


def moved(source: str, target: str, tell: Callable[[Step], None] = lambda _: None) -> dict[str, int]:
    return move(database_at(source), database_at(target), upgrade, tell)


def refused(source: str, target: str, tell: Callable[[Step], None] = lambda _: None) -> str:
    with pytest.raises(VelError) as caught:
        moved(source, target, tell)
    return str(caught.value)


def small(**changes: Row) -> dict[str, list[Row]]:
    """One row in each table that needs no other's meaning, with odd values; `changes` are of the table's row."""
    ids = {name: str(uuid4()) for name in metadata.tables}
    rows = {table.name: [_row(table, ids) | changes.get(table.name, {})] for table in metadata.sorted_tables}
    rows["audit_logs"] = chained([entry(number) for number in range(3)])
    return rows


def entry(number: int, **changes: Any) -> Row:
    content = {"organisation_id": str(uuid4()), "owner_id": str(uuid4()), "at": NOW.isoformat(timespec="microseconds")}
    words = {"principal": "jo", "action": "done", "subject": f"task:{number}", "payload": {"odd": ODD_TEXT}}
    return content | words | changes


def _row(table: sa.Table, ids: dict[str, str]) -> Row:
    return {column.name: _key_of(column, ids) or _plain_value(column) for column in table.columns}


def _key_of(column: "sa.Column[Any]", ids: dict[str, str]) -> str | None:
    """The id of the row, or of the row of another table that it belongs to."""
    if column.name == "id" and isinstance(column.type, sa.Uuid):
        return ids[column.table.name]
    return next((ids[key.column.table.name] for key in column.foreign_keys), None)


def _plain_value(column: "sa.Column[Any]") -> Any:
    if column.nullable:
        return None
    return next(value for kind, value in PLAIN_VALUES.items() if isinstance(column.type, kind))


async def used(url: str, providers: Providers, home: Path) -> None:
    """Make of it what a person who works with it makes."""
    async with open_app(settings_for(providers, home, database_url=url)) as app:
        me = app.local_principal
        tasks = [await app.tasks.submit(me, TaskRequest(prompt=f"{ODD_TEXT} {number}")) for number in range(3)]
        ended = [await app.tasks.follow(me, task.id, 20) for task in tasks]
        await app.tasks.rate(me, tasks[0].id, 5, "good")
    assert [told.task.status for told in ended] == [TaskStatus.COMPLETED] * 3
    until_nobody_uses(url)


def until_nobody_uses(url: str) -> None:
    """A server of PostgreSQL may hear a little later that a connection was closed, and drops its lock then."""
    block_until(lambda: not lease_on(database_at(url)).living())


@pytest.mark.parametrize(("kind", "other"), WAYS)
async def test_every_row_is_on_the_other_side_and_the_work_goes_on_there(
    kind: str, other: str, new_url: NewUrl, providers: Providers, tmp_path: Path
) -> None:
    source, target = new_url(kind), new_url(other)
    await used(source, providers, tmp_path / "first")
    before = dump(source)
    rows = await asyncio.to_thread(moved, source, target)

    assert dump(target) == dump(source) == before
    assert rows == {name: len(lines) for name, lines in before.items()}
    assert rows["audit_logs"] > rows["tasks"] == 3

    await used(target, providers, tmp_path / "second")
    after = dump(target)
    assert len(after["tasks"]) == 6
    assert after["audit_logs"][: rows["audit_logs"]] == before["audit_logs"]
    assert dump(source) == before


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_copy_in_a_folder_that_others_may_enter_is_for_its_owner_alone(ready: NewUrl, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    moved(ready("sqlite source"), f"sqlite:///{tmp_path / 'back.db'}")

    assert stat.S_IMODE((tmp_path / "back.db").stat().st_mode) == 0o600


def a_row(url: str) -> None:
    upgrade(database_at(url))
    fill(database_at(url), {"organisations": small()["organisations"]})


def of_another_program(url: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("CREATE TABLE albums (title)")
            return
    query(url, "CREATE SCHEMA vel_tutor")
    query(url, "CREATE TABLE vel_tutor.albums (title text)")


def of_revision(revision: str) -> Callable[[str], None]:
    def make(url: str) -> None:
        upgrade(database_at(url))
        with writing(database_at(url)) as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": revision})

    return make


def of_tasks_that_were_removed(url: str) -> None:
    upgrade(database_at(url))
    with writing(database_at(url)) as connection:
        connection.execute(
            sa.text("INSERT INTO workflow_status (workflow_uuid, created_at, updated_at) VALUES ('a', 1, 1)")
        )


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (a_row, "its table organisations has rows already"),
        (of_another_program, "another program's (albums)"),
        (of_revision("9999"), "a newer vel-tutor-mcp made"),
        (of_revision("d3adb33f"), "another program's tables; their revision d3adb33f"),
        (of_tasks_that_were_removed, "tasks that were removed"),
    ],
)
def test_a_target_that_is_not_empty_is_refused_and_left_alone(
    kind: str, make: Callable[[str], None], why: str, new_url: NewUrl, ready: NewUrl
) -> None:
    source, target = ready("sqlite source"), new_url(kind)
    make(target)
    before = everything(target)

    assert why in refused(source, target)
    assert everything(target) == before


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "is empty"),
        (of_another_program, "another program's (albums)"),
        (of_revision("9999"), "a newer vel-tutor-mcp made"),
    ],
)
def test_a_source_that_is_not_ours_is_refused_and_the_target_left_alone(
    kind: str, make: Callable[[str], None], why: str, new_url: NewUrl
) -> None:
    source, target = new_url(kind), new_url("sqlite")
    make(source)

    assert why in refused(source, target)
    assert everything(target) is None


def test_an_older_source_is_to_be_upgraded_first(
    ready: NewUrl, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = ready("sqlite source"), new_url("sqlite")
    newer = [*schema.revisions(), "9999"]
    monkeypatch.setattr(schema, "revisions", lambda: newer)

    assert refused(source, target).endswith("vel-tutor-mcp db upgrade.")
    assert everything(target) is None


@pytest.mark.parametrize("kind", DATABASES)
def test_the_source_itself_is_no_target_whatever_it_is_called(kind: str, ready: NewUrl, tmp_path: Path) -> None:
    source = ready(f"{kind} source")
    other_name = source.replace("127.0.0.1", "localhost")
    if kind == "sqlite":
        link = tmp_path / "link.db"
        link.symlink_to(source.removeprefix("sqlite:///"))
        other_name = f"sqlite:///{link}"

    assert "are the same" in refused(source, other_name)


def test_a_target_that_cannot_be_reached_or_refuses_us_is_told_without_its_password(
    ready: NewUrl, postgres: PostgresServer
) -> None:
    source = ready("sqlite source")
    wrong = postgres._url("tester", "wrong-secret", "postgres")
    away = wrong.replace(str(postgres.port), "1")

    assert "user or password is wrong" in refused(source, wrong)
    assert "cannot be reached" in refused(source, away)
    assert "wrong-secret" not in refused(source, wrong) + refused(source, away)


def everything(url: str) -> list[str] | None:
    """All that is in the database, whosever it is; None where there is none."""
    if url.startswith("postgresql"):
        tables = query(url, TABLES_OF_ALL)
        return [f"{table} {query(url, f'SELECT * FROM {schema}.{table}')}" for schema, table in tables]
    file = Path(url.removeprefix("sqlite:///"))
    if not file.exists():
        return None
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tasks": {"prompt": "be\0fore"}}, "table tasks cannot be copied"),
        ({"users": {"name": "n" * 161}}, "table users cannot be copied"),
        ({"tasks": {"priority": 40_000}}, "table tasks cannot be copied"),
        ({"budgets": {"limit_nanousd": "much"}}, "table budgets cannot be copied"),
        ({"agent_versions": {"config": {"no": float("nan")}}}, "table agent_versions cannot be copied"),
    ],
)
def test_a_value_that_postgresql_cannot_hold_is_told_by_table_and_key(
    changes: dict[str, Row], why: str, ready: NewUrl
) -> None:
    source, target = ready("sqlite source"), ready("postgresql target")
    rows = small(**changes)
    fill(database_at(source), rows)
    told = refused(source, target)

    (table,) = changes
    assert why in told
    assert str(rows[table][0].get("id", rows[table][0].get("agent_id"))) in told
    assert row_count(target) == 0


@pytest.mark.parametrize("statement", ["UPDATE tasks SET parameters = 'x'", "UPDATE tasks SET created_at = 'then'"])
def test_a_value_that_is_none_of_ours_is_told(statement: str, ready: NewUrl) -> None:
    source, target = ready("sqlite source"), ready("sqlite target")
    fill(database_at(source), small())
    with writing(database_at(source)) as connection:
        connection.execute(sa.text(statement))

    assert "The table tasks of the database" in refused(source, target)
    assert row_count(target) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET action = 'undone' WHERE sequence = 2",
        "UPDATE audit_logs SET previous_hash = hash WHERE sequence = 1",
        "UPDATE audit_logs SET payload = '{' WHERE sequence = 3",
        "DELETE FROM audit_logs WHERE sequence = 2",
        "UPDATE audit_logs SET sequence = sequence + 7",
    ],
)
def test_a_broken_chain_of_audit_entries_is_not_copied(statement: str, ready: NewUrl) -> None:
    source, target = ready("sqlite source"), ready("sqlite target")
    fill(database_at(source), small())
    with writing(database_at(source)) as connection, unguarded(connection):
        connection.execute(sa.text(statement))

    assert "does not follow from the one before" in refused(source, target)
    assert row_count(target) == 0


def test_a_chain_whose_beginning_was_pruned_is_copied(ready: NewUrl) -> None:
    source, target = ready("sqlite source"), ready("sqlite target")
    fill(database_at(source), small())
    with writing(database_at(source)) as connection, unguarded(connection):
        connection.execute(sa.text("DELETE FROM audit_logs WHERE sequence = 1"))

    assert moved(source, target)["audit_logs"] == 2


@pytest.mark.parametrize(
    "trigger",
    [
        "NEW.prompt := NEW.prompt || ' '; RETURN NEW;",
        'NEW.parameters := \'{"a": [null, 1.0], "b": 1}\'; RETURN NEW;',
        "NEW.created_at := NEW.created_at + interval '1 microsecond'; RETURN NEW;",
        "RETURN NULL;",
    ],
)
def test_a_row_that_came_out_differently_is_told_by_table_and_key(trigger: str, ready: NewUrl, new_url: NewUrl) -> None:
    source, target = ready("sqlite source"), new_url("postgresql")
    rows = small()
    rows = {name: rows[name] for name in ("organisations", "users", "agents", "tasks", "audit_logs")}
    fill(database_at(source), rows)
    upgrade(database_at(target))
    query(target, f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {trigger} END $$")
    query(target, "CREATE TRIGGER meddle BEFORE INSERT ON vel_tutor.tasks FOR EACH ROW EXECUTE FUNCTION meddle()")

    told = refused(source, target)
    assert f"The row id={rows['tasks'][0]['id']} of the table tasks is not the same" in told
    assert row_count(target) == 0


@pytest.mark.parametrize("kind", DATABASES)
def test_what_a_living_process_uses_is_not_copied(kind: str, ready: NewUrl) -> None:
    source, target = ready(f"{kind} source"), ready("sqlite target")
    lease = lease_on(database_at(source))
    lease.take()
    host, pid, _ = lease.executor.rsplit("-", 2)
    told = refused(source, target)
    lease.release()
    until_nobody_uses(source)

    assert f"is in use by process {pid} on {host}" in told
    assert moved(source, target)["audit_logs"] == 0


@pytest.mark.parametrize("kind", DATABASES)
def test_who_comes_while_it_is_copied_can_write_nothing_and_ends_the_copy(kind: str, ready: NewUrl) -> None:
    source, target = ready(f"{kind} source"), ready("sqlite target")
    fill(database_at(source), small())
    lease, free = lease_on(database_at(source)), []

    def intrude(step: Step) -> None:
        if (step.doing, step.table) == ("copying", "tasks"):
            lease.take()
            free.append(is_free_to_write(source))

    told = refused(source, target, intrude)
    lease.release()
    until_nobody_uses(source)

    assert "is in use by" in told
    assert free == [False]
    assert is_free_to_write(source)
    assert row_count(target) == 0


def is_free_to_write(url: str) -> bool:
    if url.startswith("postgresql"):
        return bool(query(url, f"SELECT pg_try_advisory_lock({WRITER})")[0][0])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("moment", [("copying", "tasks"), ("comparing", "ledger")])
def test_ctrl_c_leaves_the_target_empty_and_the_next_copy_succeeds(
    kind: str, moment: tuple[str, str], ready: NewUrl
) -> None:
    source, target = ready("sqlite source"), ready(f"{kind} target")
    fill(database_at(source), small())

    def interrupt(step: Step) -> None:
        if (step.doing, step.table) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moved(source, target, interrupt)
    assert row_count(target) == 0
    assert sum(moved(source, target).values()) == row_count(target) > 10


def test_a_full_disk_is_told_and_leaves_the_target_empty_and_the_next_copy_succeeds(ready: NewUrl) -> None:
    source, target = ready("sqlite source"), ready("sqlite target")
    fill(database_at(source), small())
    with ExitStack() as full:

        def fill_up(step: Step) -> None:
            if (step.doing, step.table) == ("copying", "organisations"):
                full.enter_context(full_disk())

        with pytest.raises(Unavailable, match="make room on the disk"):
            moved(source, target, fill_up)
    assert row_count(target) == 0
    assert sum(moved(source, target).values()) == row_count(target) > 10


def test_a_target_that_goes_away_is_told_and_is_empty_when_it_is_back(ready: NewUrl, new_url: NewUrl) -> None:
    source, target = ready("sqlite source"), new_url("postgresql")
    fill(database_at(source), small())

    def pull_the_plug(step: Step) -> None:
        if (step.doing, step.table) == ("copying", "organisations"):
            query(target, CUT_ALL)

    with pytest.raises(Unavailable):
        moved(source, target, pull_the_plug)
    assert row_count(target) == 0


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
# Documents may hold what a column of text may not.
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=9), documents, max_size=3)


# Any value that a column may hold on both databases; a subtype stands before its type.
VALUES: dict[type, st.SearchStrategy[Any]] = {
    Utc: st.datetimes(timezones=st.just(UTC)),
    sa.JSON: objects,
    sa.Uuid: st.uuids().map(str),
    sa.Boolean: st.booleans(),
    sa.BigInteger: st.integers(-(2**63), 2**63 - 1),
    sa.SmallInteger: st.integers(-(2**15), 2**15 - 1),
    sa.Integer: st.integers(-(2**31), 2**31 - 1),
    sa.Float: st.floats(allow_nan=False).map(lambda number: number + 0.0),  # SQLite keeps -0.0 as 0.0
    sa.LargeBinary: st.binary(max_size=20),
    sa.String: texts,
}


def _values(column: "sa.Column[Any]") -> st.SearchStrategy[Any]:
    if column.name == "sequence":
        return st.integers(1, 2**62)
    found = next(values for kind, values in VALUES.items() if isinstance(column.type, kind))
    if isinstance(column.type, sa.String):
        longest = column.type.length
        found = found.map(lambda text: text[:longest])
    return st.none() | found if column.nullable else found


@st.composite
def contents(draw: st.DrawFn) -> dict[str, list[Row]]:
    """A row in each table, more where no other may be like it but in its key, and a chain of audit entries."""
    ids = {name: str(draw(st.uuids())) for name in metadata.tables}
    rows: dict[str, list[Row]] = {}
    for table in metadata.sorted_tables:
        most = 3 if table.name in {"idempotency_keys", "breakers", "task_events"} else 1
        drawn = [
            {column.name: _key_of(column, ids) or draw(_values(column)) for column in table.columns}
            for _ in range(draw(st.integers(1, most)))
        ]
        rows[table.name] = list({tuple(row[key.name] for key in table.primary_key): row for row in drawn}.values())
    words = [(draw(texts)[:50], draw(objects)) for _ in range(draw(st.integers(0, 3)))]
    rows["audit_logs"] = chained([entry(0, action=action, payload=payload) for action, payload in words])
    return rows


@pytest.mark.parametrize(("kind", "other"), [way for way in WAYS if way[0] != way[1]])
@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=contents())
def test_whatever_the_rows_hold_is_on_the_other_side(
    kind: str, other: str, ready: NewUrl, rows: dict[str, list[Row]]
) -> None:
    source, target = ready(f"{kind} source"), ready(f"{other} target")
    fill(database_at(source), rows)
    moved(source, target)

    assert dump(target) == dump(source)
    assert {name: len(lines) for name, lines in dump(target).items()} == {name: len(rows[name]) for name in rows}
