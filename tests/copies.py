"""Databases to be copied, and what is in them as their own drivers tell it, without any code of ours."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
from psycopg import sql

from vel_tutor_mcp.store.audit_chain import GENESIS, canonical, entry_hash
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_at
from vel_tutor_mcp.store.tables import metadata

Row = dict[str, Any]
Dump = dict[str, list[str]]

OF_TASKS = ("attempts", "task_events", "route_decisions", "ledger")


def dump(url: str) -> Dump:
    """All rows of all tables of ours, each as a line; the audit's in its order, the others' sorted."""
    ask = _of_postgresql if url.startswith("postgresql") else _of_sqlite
    found = {name: [repr(tuple(map(_plain, row))) for row in rows] for name, rows in ask(url)}
    return {name: rows if name == "audit_logs" else sorted(rows) for name, rows in found.items()}


def row_count(url: str) -> int:
    return sum(map(len, dump(url).values()))


def _of_sqlite(url: str) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for name in metadata.tables:
            yield name, connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()


def _of_postgresql(url: str) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    everywhere = "-c vel_tutor.organisation=installation"
    with psycopg.connect(url, connect_timeout=20, options=everywhere) as connection:
        for name in metadata.tables:
            rows = connection.execute(
                sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier("vel_tutor", name))
            ).fetchall()
            yield name, list(rows)


def _plain(value: Any) -> Any:
    """What SQLite would keep of a value of PostgreSQL."""
    match value:
        case UUID():
            return value.hex
        case datetime():
            moment = value.astimezone(UTC)
            return f"{moment.year:04}{moment:-%m-%d %H:%M:%S.%f}"
        case dict() | list():
            return json.dumps(value)
        case bool():
            return int(value)
    return value


@contextmanager
def writing(database: Database) -> Iterator[sa.Connection]:
    engine = database.blocking_engine(INSTALLATION)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def fill(database: Database, rows: Mapping[str, Sequence[Row]]) -> None:
    with writing(database) as connection:
        for table in metadata.sorted_tables:
            if rows.get(table.name):
                connection.execute(table.insert(), list(rows[table.name]))


def chained(contents: Sequence[Row], after: int = 0, previous: str = GENESIS) -> list[Row]:
    """Audit entries with these contents, each linked to the one before."""
    entries: list[Row] = []
    for number, content in enumerate(contents, after + 1):
        entry = content | {"sequence": number, "previous_hash": previous}
        previous = entry_hash({name: value for name, value in entry.items() if value is not None})
        entries.append(entry | {"payload": canonical(entry["payload"]), "hash": previous})
    return entries


def grow(url: str, total: int) -> None:
    """Let there be so many tasks: those that are there again and again, with all that belongs to each."""
    database = database_at(url)
    with writing(database) as connection:
        models = _tasks_there(connection)
        audit = [row._asdict() for row in connection.execute(sa.select(audit_logs).order_by(audit_logs.c.sequence))]
        grown: dict[str, list[Row]] = {name: [] for name in ("tasks", *OF_TASKS)}
        contents: list[Row] = []
        for model in islice(cycle(models), total - len(models)):
            contents += _again(model, audit, grown)
        grown["audit_logs"] = chained(contents, audit[-1]["sequence"], audit[-1]["hash"])
    fill(database, grown)


def _tasks_there(connection: sa.Connection) -> list[dict[str, list[Row]]]:
    rows = {
        name: [row._asdict() for row in connection.execute(sa.select(metadata.tables[name]))]
        for name in ("tasks", *OF_TASKS)
    }
    return [
        {"tasks": [task]} | {name: [row for row in rows[name] if row["task_id"] == task["id"]] for name in OF_TASKS}
        for task in rows["tasks"]
    ]


def _again(model: Mapping[str, Sequence[Row]], audit: Sequence[Row], grown: dict[str, list[Row]]) -> list[Row]:
    """Add another task like the model; returns the contents of its audit entries."""
    (task,) = model["tasks"]
    new_ids = {task["id"]: str(uuid4())} | {attempt["id"]: str(uuid4()) for attempt in model["attempts"]}
    for name, rows in model.items():
        for row in rows:
            again = {
                column: new_ids.get(value, value) if isinstance(value, str) else value for column, value in row.items()
            }
            if name == "ledger":
                again["id"] = str(uuid4())
            again.pop("sequence", None)
            grown[name].append(again)
    left_out = {"sequence", "previous_hash", "hash"}
    return [
        {name: value for name, value in entry.items() if name not in left_out}
        | {"subject": f"task:{new_ids[task['id']]}", "payload": json.loads(entry["payload"])}
        for entry in audit
        if entry["subject"] == f"task:{task['id']}"
    ]
