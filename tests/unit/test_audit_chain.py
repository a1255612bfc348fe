"""Anyone can recompute the chain from its entries; `test_audit_walk` tells what is found where it was harmed."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store.audit import EntryQuery, append, page
from vel_tutor_mcp.store.audit_chain import GENESIS, canonical, entry_hash
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.store.tables import metadata

Entry = dict[str, Any]

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ME = Principal(user_id=str(UUID(int=1)), organisation_id=str(UUID(int=2)), name="jo", role="admin")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
payloads = st.dictionaries(st.text(), values, max_size=3)


def linked(contents: list[Entry]) -> list[Entry]:
    entries: list[Entry] = []
    for number, payload in enumerate(contents, 1):
        previous = entries[-1]["hash"] if entries else GENESIS
        entry = {"sequence": number, "action": "done", "payload": payload, "previous_hash": previous}
        entries.append(entry | {"hash": entry_hash(entry)})
    return entries


def holds(entries: list[Entry]) -> bool:
    """What a reader of the documentation would write: recompute each hash, follow each link."""
    hashes = [entry_hash({name: entry[name] for name in entry if name != "hash"}) for entry in entries]
    return all(
        entry["hash"] == computed and entry["previous_hash"] == previous and entry["sequence"] == number
        for number, (entry, computed, previous) in enumerate(
            zip(entries, hashes, [GENESIS, *hashes][: len(hashes)], strict=True), 1
        )
    )


chains = st.lists(payloads, min_size=1, max_size=6).map(linked)


@given(chains)
def test_an_untouched_chain_can_be_recomputed(entries: list[Entry]) -> None:
    assert holds(entries)
    assert holds(json.loads(json.dumps(entries)))


@given(payloads, st.data())
def test_one_spelling_whatever_the_order_of_the_keys(payload: Entry, data: st.DataObject) -> None:
    again = dict(data.draw(st.permutations(list(payload.items()))))
    assert canonical(again) == canonical(payload)
    assert entry_hash(again) == entry_hash(payload)


@given(values)
def test_a_canonical_text_is_the_json_of_its_value(value: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"ä": "ß\n"}, '{"ä":"ß\\n"}'),
        ({"z": {"d": 1, "c": 2}, "a": 0.1}, '{"a":0.1,"z":{"c":2,"d":1}}'),
    ],
)
def test_the_canonical_text(value: Any, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_does_not_have_cannot_be_hashed(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"x": number})


def test_the_hash_of_a_known_entry_never_changes() -> None:
    entry = {"sequence": 1, "action": "task_submitted", "payload": {"agent": "default"}, "previous_hash": GENESIS}
    assert entry_hash(entry) == "6eb65b75e007b264941cff655921d083d09628ece378a05da8f8fae6e5fa1efb"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """With the table of the trail, and nothing in it."""
    database = SqliteDatabase(tmp_path / "audit.db")
    engine = database.blocking_engine(INSTALLATION)
    metadata.create_all(engine, [audit_logs])
    engine.dispose()
    yield database
    await database.close()


@pytest.mark.anyio
async def test_what_is_stored_is_a_chain(database: SqliteDatabase) -> None:
    engine = database.blocking_engine(INSTALLATION)
    there = replace(ME, address="10.0.0.1", user_agent="curl/8 (jo@example.com)")
    for number, (who, action) in enumerate([(ME, "task_submitted"), (ME, "route_decided"), (there, "task_completed")]):
        async with database.write(INSTALLATION) as tx:
            await append(tx, who, action, "task:1", {"ä": number, "nested": {"b": 1.5}}, NOW + timedelta(number))
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(audit_logs).order_by("sequence")).mappings()]
    assert holds(
        [
            {name: value for name, value in row.items() if value is not None} | {"payload": json.loads(row["payload"])}
            for row in rows
        ]
    )
    assert [(row["address"], row["user_agent"]) for row in rows] == [
        *[(None, None)] * 2,
        ("10.0.0.1", "curl/8 ([masked e mail])"),
    ]

    async with database.read(INSTALLATION) as tx:
        shown = (await page(tx, ME, 10, None, EntryQuery())).rows
    engine.dispose()
    assert all(newer.previous_hash == older.hash for newer, older in itertools.pairwise(shown))
    assert shown[-1].previous_hash == GENESIS


@pytest.mark.anyio
async def test_entries_of_one_transaction_are_linked_and_the_next_ones_follow(database: SqliteDatabase) -> None:
    for number in (0, 2):
        async with database.write(INSTALLATION) as tx:
            await append(tx, ME, "done", "task:1", {"n": number + 1}, NOW)
            await append(tx, ME, "done", "task:1", {"n": number + 2}, NOW)
    async with database.read(INSTALLATION) as tx:
        shown = (await page(tx, ME, 10, None, EntryQuery())).rows
    assert [(entry.sequence, entry.payload) for entry in shown] == [(n, {"n": n}) for n in (4, 3, 2, 1)]
    assert [entry.previous_hash for entry in shown] == [*(entry.hash for entry in shown[1:]), GENESIS]


@pytest.mark.anyio
async def test_an_entry_is_shown_as_it_was_written(database: SqliteDatabase) -> None:
    async with database.write(INSTALLATION) as tx:
        await append(tx, ME, "done", "task:\0one", {"n": 1}, NOW)
    async with database.read(INSTALLATION) as tx:
        (shown,) = (await page(tx, ME, 10, None, EntryQuery())).rows
    assert (shown.sequence, shown.at, shown.organisation_id) == (1, NOW, ME.organisation_id)
    assert (shown.principal, shown.action, shown.subject, shown.payload) == ("jo", "done", "task:one", {"n": 1})


@pytest.mark.anyio
async def test_a_page_has_what_the_reader_may_see_and_wants_from_where_it_begins(database: SqliteDatabase) -> None:
    other, viewer = replace(ME, user_id=str(UUID(int=3))), replace(ME, role="viewer")
    async with database.write(INSTALLATION) as tx:
        for number, who in enumerate([ME, ME, other, replace(ME, organisation_id=str(UUID(int=4)))], 1):
            await append(tx, who, "done" if number > 1 else "begun", f"task:{number}", {}, NOW + timedelta(number))

    async def shown(reader: Principal, start: int | None = None, **wanted: Any) -> list[int]:
        async with database.read(INSTALLATION) as tx:
            return [entry.sequence for entry in (await page(tx, reader, 10, start, EntryQuery(**wanted))).rows]

    assert await shown(ME) == [3, 2, 1]
    assert await shown(viewer) == [2, 1]
    assert await shown(ME, 1) == [2, 1]
    assert await shown(ME, action="done") == [3, 2]
    assert await shown(ME, since=NOW + timedelta(2), until=NOW + timedelta(3)) == [2]
    assert await shown(ME, subject="task:3", principal="jo") == [3]
