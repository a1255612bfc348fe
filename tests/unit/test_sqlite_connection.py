"""A SQLite connection of ours answers as aiosqlite's does, in one trip to its thread for a statement."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vel_tutor_mcp.store.sqlite_connection import SqliteConnection

pytestmark = pytest.mark.anyio

COUNTED = sa.Table(
    "counted", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("number", sa.Integer)
)


@pytest.fixture(params=[SqliteConnection, aiosqlite.connect], ids=["ours", "aiosqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """With a table of three numbers; the same is said of both."""
    engine = create_async_engine("sqlite+aiosqlite://", async_creator=partial(request.param, tmp_path / "any.db"))
    async with engine.begin() as connection:
        await connection.run_sync(COUNTED.metadata.create_all)
        await connection.execute(COUNTED.insert(), [{"number": number} for number in (1, 2, 3)])
    yield engine
    await engine.dispose()


async def test_rows_counts_and_new_keys_are_told(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        added = await connection.execute(COUNTED.insert().values(number=4))
        raised = await connection.execute(COUNTED.update().where(COUNTED.c.number > 2).values(number=9))
        removed = await connection.execute(COUNTED.delete().where(COUNTED.c.number == 9).returning(COUNTED.c.id))
        left = (await connection.execute(sa.select(COUNTED))).all()
        none = (await connection.execute(sa.select(COUNTED).where(sa.false()))).all()

    assert (added.inserted_primary_key, raised.rowcount) == ((4,), 2)
    assert (list(removed.scalars()), left, none) == ([3, 4], [(1, 1), (2, 2)], [])


async def test_a_refused_statement_leaves_its_transaction_to_be_rolled_back(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(COUNTED.delete())
        with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
            await connection.execute(COUNTED.insert(), [{"id": 7}, {"id": 7}])

    async with engine.begin() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(COUNTED)) == 3


async def test_a_transaction_of_two_statements_goes_to_the_thread_thrice(tmp_path: Path) -> None:
    """For each statement, and for the commit."""
    engine = create_async_engine("sqlite+aiosqlite://", async_creator=partial(SqliteConnection, tmp_path / "any.db"))
    async with engine.connect():
        pass
    asked = aiosqlite.Connection._execute
    with patch.object(aiosqlite.Connection, "_execute", autospec=True, side_effect=asked) as trips:
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE any (number INTEGER)"))
            assert (await connection.execute(sa.text("SELECT 1 UNION SELECT 2"))).all() == [(1,), (2,)]
    await engine.dispose()

    assert [trip.args[1].__name__ for trip in trips.call_args_list] == ["execute", "execute", "commit"]
