import time
from pathlib import Path

from vel_tutor_mcp.store.sqlite import SqliteDatabase


def test_the_engine_is_told_the_time_by_every_sqlite(tmp_path: Path) -> None:
    engine = SqliteDatabase(tmp_path / "any.db").blocking_engine()
    with engine.connect() as connection:
        told = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()
    engine.dispose()

    assert abs(told - time.time()) < 5
