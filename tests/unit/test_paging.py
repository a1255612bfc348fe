"""Lists, newest first, a page at a time; a cursor that this list did not make is refused."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Page, Start
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.columns import Id, Sequence, Utc
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 23, tzinfo=UTC)
REFUSED = "The cursor is not one of this list; it was changed or belongs to another list; start without a cursor."


things = sa.Table("things", sa.MetaData(), sa.Column("id", Id, primary_key=True), sa.Column("at", Utc, nullable=False))
numbered = sa.Table("numbered", sa.MetaData(), sa.Column("number", Sequence, primary_key=True))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Five things, two of one moment each but the newest, and numbers from 1 to 5."""
    database = SqliteDatabase(tmp_path / "paging.db")
    async with database.write(INSTALLATION) as tx:
        for table in (things, numbered):
            await tx.run_sync(table.create)
        rows = [{"id": thing(number), "at": NOW + timedelta(number // 2)} for number in range(5)]
        await tx.execute(things.insert(), rows)
        await tx.execute(numbered.insert(), [{"number": number} for number in range(1, 6)])
    yield database
    await database.close()


def thing(number: int) -> str:
    return str(UUID(int=number))


def cursor(values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


async def listed(database: Database, limit: int, cursor: Start = None) -> Page[int]:
    keys = (things.c.at, things.c.id)
    async with database.read(INSTALLATION) as tx:
        return await paging.newest_first(tx, sa.select(things), keys, limit, cursor, lambda row: UUID(row["id"]).int)


async def numbers(database: Database, cursor: str | None = None) -> Page[int]:
    async with database.read(INSTALLATION) as tx:
        return await paging.newest_first(
            tx, sa.select(numbered), (numbered.c.number,), 2, cursor, lambda row: int(row["number"])
        )


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_pages_together_are_the_list(database: Database, limit: int) -> None:
    seen: list[int] = []
    page = await listed(database, limit)
    while page.cursor:
        assert len(page.rows) == limit
        seen += page.rows
        page = await listed(database, limit, page.cursor)
    assert [*seen, *page.rows] == [4, 3, 2, 1, 0]


async def test_a_new_row_shifts_no_page(database: Database) -> None:
    page = await listed(database, 2)
    async with database.write(INSTALLATION) as tx:
        await tx.execute(things.insert(), {"id": thing(9), "at": NOW + timedelta(9)})
    assert (await listed(database, 2, page.cursor)).rows == (2, 1)


async def test_each_row_has_a_cursor_that_continues_after_it(database: Database) -> None:
    page = await listed(database, 5)
    assert page.cursor is None
    assert (await listed(database, 5, page.cursors[2])).rows == (1, 0)


async def test_a_page_that_is_cut_goes_on_where_it_was_cut(database: Database) -> None:
    page = (await listed(database, 5)).first(2)
    assert page.rows == (4, 3)
    assert (await listed(database, 5, page.cursor)).rows == (2, 1, 0)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "=",
        "!!!!",
        "é",
        "AAAA",
        "not a cursor",
        cursor([]),
        cursor(["2026-11-23T00:00:00+00:00"]),
        cursor(["2026-11-23T00:00:00+00:00", thing(1), 1]),
        cursor(None),
        cursor(5),
    ],
)
async def test_a_bad_cursor_is_refused(database: Database, bad: str) -> None:
    with pytest.raises(InputError) as refused:
        await listed(database, 2, bad)
    assert str(refused.value) == REFUSED


@pytest.mark.parametrize(
    "bad",
    [
        ["yesterday", thing(1)],
        [5, thing(1)],
        [None, thing(1)],
        {"at": 1, "id": 2},
        ["0001-01-01T00:00:00+14:00", thing(1)],
        ["2026-11-23T00:00:00+00:00", 5],
        ["2026-11-23T00:00:00+00:00", None],
        ["2026-11-23T00:00:00+00:00", [thing(1)]],
    ],
)
async def test_a_cursor_that_is_not_of_a_moment_and_an_id_is_refused(database: Database, bad: Any) -> None:
    with pytest.raises(InputError):
        await listed(database, 2, cursor(bad))


@pytest.mark.parametrize("bad", ["x", ["x"], [None], [True], [1.5], {"1": 2}, [[1]], [10**30], [{"number": 1}]])
async def test_a_cursor_that_is_not_of_a_number_is_refused(database: Database, bad: Any) -> None:
    with pytest.raises(InputError):
        await numbers(database, cursor(bad))


@pytest.mark.parametrize(
    ("behind", "rows", "more"),
    [(0, [4, 3], True), (1, [3, 2], True), (3, [1, 0], False), (4, [0], False), (5, [], False), (10**9, [], False)],
)
async def test_a_page_behind_so_many_rows_says_how_many_there_are(
    database: Database, behind: int, rows: list[int], more: bool
) -> None:
    page = await listed(database, 2, behind)
    assert (list(page.rows), page.more, page.total) == (rows, more, 5)
    assert (await listed(database, 2)).total is None
