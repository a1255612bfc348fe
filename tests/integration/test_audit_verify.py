"""What is done to the trail in a real database is found and named; what was signed cannot be written anew.

`VEL_TEST_APPENDS=10000` lets eight processes append so many entries; without it four append a few hundred.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit import checkpoint, fill_anew, harm, hash_anew, kept, signed, verdict
from copies import writing

import vel_tutor_mcp
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys, key_id
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.audit_chain import Flaw
from vel_tutor_mcp.store.audit_checkpoints import every, newest
from vel_tutor_mcp.store.audit_reading import standing
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.places import database_of

APPENDS = int(os.environ.get("VEL_TEST_APPENDS", "240"))
# To start takes most of their time.
PROCESSES = 8 if APPENDS >= 10_000 else 4
# Light, since many start at once: no more of the product than what appends.
APPENDER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import make_url
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.store.sqlite import SqliteDatabase

async def appended(database, name, count):
    me = Principal(user_id=name, organisation_id=name, name="jo", role="admin", address="10.0.0.1")
    for number in range(count):
        async with database.write(name) as tx:
            await audit.append(tx, me, "done", f"task:{number}", {"n": number}, datetime.now(UTC))
    await database.close()

where, name, count = sys.argv[1:]
database = PostgresDatabase(make_url(where)) if "://" in where else SqliteDatabase(Path(where))
sys.stdin.readline()
asyncio.run(appended(database, name, int(count)))
"""


@pytest.fixture
def database(stored_in: Settings) -> Database:
    """With nine entries."""
    database = database_of(stored_in)
    fill_anew(database, 9)
    return database


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(Settings(home=tmp_path))


def swapped(one: int, other: int) -> tuple[str, ...]:
    return (
        f"UPDATE audit_logs SET sequence = -{one} WHERE sequence = {one}",
        f"UPDATE audit_logs SET sequence = {one} WHERE sequence = {other}",
        f"UPDATE audit_logs SET sequence = {other} WHERE sequence = -{one}",
    )


@pytest.mark.parametrize(
    ("statements", "flaw", "sequence"),
    [
        (["UPDATE audit_logs SET action = 'undone' WHERE sequence = 4"], Flaw.CHANGED, 4),
        (["UPDATE audit_logs SET address = '10.0.0.1' WHERE sequence = 4"], Flaw.CHANGED, 4),
        (["UPDATE audit_logs SET payload = payload || ' ' WHERE sequence = 4"], Flaw.CHANGED, 4),
        (["UPDATE audit_logs SET payload = '' WHERE sequence = 9"], Flaw.CHANGED, 9),
        (["UPDATE audit_logs SET owner_id = '00000000000000000000000000000000' WHERE sequence = 1"], Flaw.CHANGED, 1),
        (["DELETE FROM audit_logs WHERE sequence = 4"], Flaw.REMOVED, 4),
        (["DELETE FROM audit_logs WHERE sequence = 1"], Flaw.REMOVED, 1),
        (swapped(4, 5), Flaw.SWAPPED, 4),
        (swapped(2, 8), Flaw.SWAPPED, 2),
        (["UPDATE audit_logs SET sequence = 10 WHERE sequence = 4"], Flaw.REMOVED, 4),
        (["INSERT INTO audit_logs SELECT 0, {same} WHERE sequence = 9"], Flaw.ADDED, 0),
        (["INSERT INTO audit_logs SELECT 10, {same} WHERE sequence = 9"], Flaw.ADDED, 10),
        (["INSERT INTO audit_logs SELECT 10, {same} WHERE sequence = 3"], Flaw.ADDED, 10),
    ],
)
def test_what_was_done_to_a_row_is_told(
    statements: Sequence[str], flaw: Flaw, sequence: int, database: Database, keys: Keys
) -> None:
    same = (
        "organisation_id, owner_id, at, principal, action, subject, payload, address, user_agent, previous_hash, hash "
        "FROM audit_logs"
    )
    assert verdict(database, keys).ok
    harm(database, *(statement.format(same=same) for statement in statements))
    fault = verdict(database, keys).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (flaw, sequence)


@pytest.mark.parametrize("value", ["X'FF'", "CAST('done' AS BLOB)"])
@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_bytes_that_are_no_text_are_told_by_their_entry(value: str, database: Database, keys: Keys) -> None:
    harm(database, f"UPDATE audit_logs SET action = {value} WHERE sequence = 4")
    fault = verdict(database, keys).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.CHANGED, 4)


def test_what_was_signed_cannot_be_hashed_anew(database: Database, keys: Keys) -> None:
    made = signed(database, keys)
    before = verdict(database, keys)
    assert made is not None
    assert (before.ok, before.signed, before.keys) == (True, 9, [key_id(keys.signer().public_key)])

    harm(database, "UPDATE audit_logs SET action = 'undone' WHERE sequence = 4")
    hash_anew(database, 4)
    found = verdict(database, keys)
    assert found.fault is not None
    assert (found.fault.flaw, found.fault.sequence, found.last) == (Flaw.NOT_SIGNED_SO, 9, 8)


def test_an_end_that_was_signed_cannot_be_cut_off(database: Database, keys: Keys) -> None:
    signed(database, keys)
    harm(database, "DELETE FROM audit_logs WHERE sequence > 6")
    fault = verdict(database, keys).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.REMOVED, 7)


@pytest.mark.parametrize("column", ["hash", "at", "signature", "public_key", "sequence"])
def test_a_forged_checkpoint_is_told(column: str, database: Database, keys: Keys) -> None:
    signed(database, keys)
    other = f"CASE WHEN substr({column}, 1, 1) = '0' THEN '1' ELSE '0' END || substr({column}, 2)"
    harm(database, f"UPDATE audit_checkpoints SET {column} = {'8' if column == 'sequence' else other}")
    fault = verdict(database, keys).fault
    assert fault is not None
    assert fault.flaw is Flaw.FORGED
    assert "does not fit it" in fault.message


def test_a_trail_that_another_key_signed_anew_is_told_unless_that_key_is_trusted(
    database: Database, keys: Keys, tmp_path: Path
) -> None:
    stranger = Keys(Settings(home=tmp_path / "other"))
    (tmp_path / "other").mkdir()
    signed(database, stranger)
    fault = verdict(database, keys).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.FORGED, 9)
    with pytest.raises(ConfigurationError, match="The audit trail is not signed here; its last checkpoint has the key"):
        signed(database, keys)

    trusting = Keys(Settings(home=tmp_path, audit_trusted_keys=stranger.signer().public_key))
    assert verdict(database, trusting).ok


def test_a_day_has_one_checkpoint_and_nothing_is_signed_twice(database: Database, keys: Keys) -> None:
    kept(database, Keeping(database, keys))
    assert signed(database, keys) == standing(database).checkpoints[0]
    harm(database, "UPDATE audit_logs SET sequence = 10 WHERE sequence = 1")
    kept(database, Keeping(database, keys))
    assert len(standing(database).checkpoints) == 1


def test_the_newest_checkpoint_is_that_of_the_last_entry_whenever_it_was_made(database: Database, keys: Keys) -> None:
    for sequence in (7, 3):
        checkpoint(database, keys, sequence, datetime(2026, 11, 20, tzinfo=UTC))
    with writing(database) as connection:
        last = newest(connection)
        assert [made.sequence for made in every(connection)] == [3, 7]
    assert last is not None
    assert last.sequence == 7


def test_nothing_is_signed_where_there_is_nothing(database: Database, keys: Keys) -> None:
    harm(database, "DELETE FROM audit_logs")
    assert signed(database, keys) is None
    assert verdict(database, keys).sentences().startswith("The audit trail is whole: no entries, ")


def test_processes_that_append_at_once_make_one_chain_without_a_gap(
    stored_in: Settings, database: Database, keys: Keys
) -> None:
    harm(database, "DELETE FROM audit_logs")
    where = stored_in.database_url.get_secret_value() if stored_in.database_url else stored_in.home / "vel-tutor.db"
    names = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(PROCESSES)]
    processes = [_appender(str(where), name, APPENDS // PROCESSES) for name in names]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate(timeout=600) == ("", "")

    found = verdict(database, keys)
    assert (found.ok, found.entries, found.first, found.last) == (True, APPENDS, 1, APPENDS)
    with writing(database) as connection:
        owners = connection.execute(sa.text("SELECT count(*) FROM audit_logs GROUP BY owner_id")).scalars().all()
    assert owners == [APPENDS // PROCESSES] * PROCESSES


def _appender(where: str, name: str, count: int) -> "subprocess.Popen[str]":
    root = Path(vel_tutor_mcp.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, where, name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
