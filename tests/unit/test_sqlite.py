import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.store import schema, sqlite
from vel_tutor_mcp.store.sqlite import SqliteDatabase


def test_the_engine_is_told_the_time_by_every_sqlite(tmp_path: Path) -> None:
    engine = SqliteDatabase(tmp_path / "any.db").blocking_engine()
    with engine.connect() as connection:
        told = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()
    engine.dispose()

    assert abs(told - time.time()) < 5


def test_a_new_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with ThreadPoolExecutor(1) as later, SqliteDatabase(path).alone(), closing(sqlite3.connect(path)) as first:
        first.execute("BEGIN IMMEDIATE")  # as in the midst of turning it to WAL
        second = later.submit(SqliteDatabase(path).make)
        assert not wait([second], 0.2).done
    assert second.exception(10) is None


def test_a_file_that_was_made_is_free_though_its_statements_are_not_collected_yet(tmp_path: Path) -> None:
    path, kept = tmp_path / "new.db", []

    def keep(_connection: sa.Connection, cursor: object, *_: object) -> None:
        kept.append(cursor)

    event.listen(sa.Engine, "after_cursor_execute", keep)
    try:
        SqliteDatabase(path).make()
    finally:
        event.remove(sa.Engine, "after_cursor_execute", keep)

    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
    assert kept


def test_an_upgrade_that_takes_too_long_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MIGRATION_WAIT_SECONDS", 0.1)
    database = SqliteDatabase(tmp_path / "any.db")
    with SqliteDatabase(database.path).alone(), pytest.raises(Unavailable, match="still upgrading"):
        schema.prepare(database, lambda: None)
