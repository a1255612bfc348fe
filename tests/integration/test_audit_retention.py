"""What is old goes to archives that prove themselves; what stays is proven, and with the archives the whole.

A process that is killed on the way loses nothing and doubles nothing.
"""

import gzip
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from audit import checkpoint, fill_anew, harm, kept

import vel_tutor_mcp
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.parts import archives_of
from vel_tutor_mcp.services.audit.archives import archive_next, rows_of_archives
from vel_tutor_mcp.services.audit.files import of_file
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.audit.verdict import Verdict, of_database
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.audit_chain import Flaw
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.audit_reading import rows, standing
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of

NOW = datetime.now(UTC)
OLD, YOUNG = NOW - timedelta(days=91), NOW - timedelta(days=89)
FIRST, SECOND = "audit-1-3.jsonl.gz", "audit-4-6.jsonl.gz"

# Archives what is due, and dies by itself at a line of its way.
DYING = """
import os, sys
from datetime import datetime
from pathlib import Path
import sqlalchemy as sa
from vel_tutor_mcp.services.audit import archives
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.store.sqlite import SqliteDatabase

def die(*_, **__):
    os._exit(9)

where, home, folder, before, url = sys.argv[1:]
database = PostgresDatabase(sa.make_url(url)) if url else SqliteDatabase(Path(home) / "vel-tutor.db")
match where:
    case "while it writes": archives.os.fsync = die
    case "with a draft": Path.replace = die
    case "with an archive": audit_reading.prune = die
    case "before it commits": sa.Connection.commit = die
archives.archive_next(database, Keys(Settings(home=home)), Path(folder), datetime.fromisoformat(before))
die()
"""
PLACES = ("while it writes", "with a draft", "with an archive", "before it commits", "when all is done")


@pytest.fixture
def keys(stored_in: Settings) -> Keys:
    return Keys(stored_in)


@pytest.fixture
def database(stored_in: Settings, keys: Keys) -> Database:
    """With nine entries: three that are old, three that will be soon, three that nobody signed."""
    database = database_of(stored_in)
    fill_anew(database, 9)
    checkpoint(database, keys, 3, OLD)
    checkpoint(database, keys, 6, YOUNG)
    return database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives"


def numbers(database: Database) -> list[int]:
    return [row["sequence"] for row in rows(database, INSTALLATION, 1, 99)]


def archived(database: Database, folder: Path) -> list[int]:
    return [row["sequence"] for row in rows_of_archives(folder, standing(database).checkpoints)]


def verdict(database: Database, keys: Keys, folder: Path | None = None) -> Verdict:
    return of_database(database, keys.known(), lambda made: rows_of_archives(folder, made) if folder else ())


def test_what_is_old_is_moved_and_all_of_it_stays_proven(database: Database, keys: Keys, folder: Path) -> None:
    asked = Keeping(database, keys, folder, days=90)
    kept(database, asked)

    assert (numbers(database), archived(database, folder)) == ([4, 5, 6, 7, 8, 9], [1, 2, 3])
    rest, whole = verdict(database, keys), verdict(database, keys, folder)
    assert (rest.ok, rest.entries, rest.first, rest.signed) == (True, 6, 4, 9)
    assert rest.proof.endswith("Entries 1 to 3 are in archives that were not read.")
    assert (whole.ok, whole.entries, whole.first) == (True, 9, 1)
    assert of_file(folder / FIRST, frozenset({keys.signer().public_key})).ok
    if os.name == "posix":
        assert (keys._file.stat().st_mode & 0o077, folder.stat().st_mode & 0o077) == (0, 0)

    kept(database, Keeping(database, keys, folder, days=80))
    assert (numbers(database), archived(database, folder)) == ([7, 8, 9], [1, 2, 3, 4, 5, 6])
    assert verdict(database, keys, folder).ok
    (folder / FIRST).unlink()
    assert verdict(database, keys, folder).proof.endswith("Entries 1 to 3 are in archives that were not read.")


def test_the_trail_is_signed_again_where_it_was_last_signed_by_a_clock_that_was_ahead(
    database: Database, keys: Keys
) -> None:
    checkpoint(database, keys, 7, NOW + timedelta(days=365))
    kept(database, Keeping(database, keys))
    kept(database, Keeping(database, keys))
    assert [made.sequence for made in standing(database).checkpoints] == [3, 6, 7, 9]
    assert verdict(database, keys).ok


def test_the_newest_entry_always_stays(database: Database, keys: Keys, folder: Path) -> None:
    checkpoint(database, keys, 9, OLD)
    while archive_next(database, keys, folder, NOW):
        pass
    assert numbers(database) == [7, 8, 9]


def test_without_a_folder_everything_stays(database: Database, keys: Keys) -> None:
    kept(database, Keeping(database, keys, None, days=1))
    assert numbers(database) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("new_database", "where"),
    [*(("sqlite", where) for where in PLACES), ("postgresql", "before it commits")],
    indirect=["new_database"],
)
def test_who_is_killed_on_the_way_loses_and_doubles_nothing(
    where: str, stored_in: Settings, database: Database, keys: Keys, folder: Path
) -> None:
    url = stored_in.database_url.get_secret_value() if stored_in.database_url else ""
    before = (NOW - timedelta(days=90)).isoformat()
    root = Path(vel_tutor_mcp.__file__).parents[1]
    command = [sys.executable, "-c", DYING, where, str(stored_in.home), str(folder), before, url]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, timeout=60, check=False).returncode == 9
    done = where == PLACES[-1]
    assert numbers(database) == ([4, 5, 6, 7, 8, 9] if done else [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert verdict(database, keys, folder).ok

    assert archive_next(database, keys, folder, NOW - timedelta(days=90)) == (None if done else folder / FIRST)
    assert archived(database, folder) + numbers(database) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert verdict(database, keys, folder).ok
    assert [file.name for file in folder.glob("*.gz")] == [FIRST]


def test_what_was_harmed_is_kept_as_it_is(database: Database, keys: Keys, folder: Path) -> None:
    harm(database, "UPDATE audit_logs SET action = 'undone' WHERE sequence = 2")
    with pytest.raises(ConfigurationError, match="The audit trail is not archived; entry 2 is not what its hash was"):
        archive_next(database, keys, folder, NOW)
    assert numbers(database) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert list(folder.glob("*.gz")) == []


def test_of_two_that_archive_at_once_one_does_it(
    database: Database, keys: Keys, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune = audit_reading.prune

    def later(database: Database, first: int, noted: Checkpoint) -> bool:
        monkeypatch.setattr(audit_reading, "prune", prune)
        archive_next(database, keys, folder.with_name("other"), NOW - timedelta(days=90))
        return prune(database, first, noted)

    monkeypatch.setattr(audit_reading, "prune", later)
    archive_next(database, keys, folder, NOW - timedelta(days=90))
    assert numbers(database) == [4, 5, 6, 7, 8, 9]
    assert [list(place.glob("*.gz")) for place in (folder, folder.with_name("other"))] == [
        [],
        [folder.with_name("other") / FIRST],
    ]


@pytest.mark.parametrize(
    ("old", "new", "flaw", "sequence"),
    [
        (b'"n":2', b'"n":3', Flaw.CHANGED, 2),
        (b'{"action":"done"', b'{"action": "done"', Flaw.CHANGED, 1),
        (b'"sequence":3,"subject":"task:1"}\n', b"", Flaw.CHANGED, 3),
    ],
)
def test_what_was_done_to_an_archive_is_told(
    old: bytes, new: bytes, flaw: Flaw, sequence: int, database: Database, keys: Keys, folder: Path
) -> None:
    archive_next(database, keys, folder, NOW - timedelta(days=90))
    file = folder / FIRST
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(old, new)))
    for fault in (of_file(file, None).fault, verdict(database, keys, folder).fault):
        assert fault is not None
        assert (fault.flaw, fault.sequence) == (flaw, sequence)


def test_an_archive_that_was_cut_is_told(database: Database, keys: Keys, folder: Path) -> None:
    archive_next(database, keys, folder, NOW - timedelta(days=90))
    file = folder / FIRST
    file.write_bytes(file.read_bytes()[:-200])
    fault = verdict(database, keys, folder).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.CHANGED, 1)


@pytest.mark.parametrize("archive", ["'audit-1-3.jsonl.gz'", "NULL"])
def test_who_removes_entries_behind_a_checkpoint_that_does_not_say_so_is_found_out(
    archive: str, database: Database, keys: Keys
) -> None:
    harm(
        database,
        f"UPDATE audit_checkpoints SET archive = {archive} WHERE sequence = 3",
        "DELETE FROM audit_logs WHERE sequence <= 3",
    )
    fault = verdict(database, keys).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.REMOVED, 1)


def test_a_folder_that_cannot_be_written_is_told_and_nothing_removed(
    database: Database, keys: Keys, folder: Path
) -> None:
    folder.write_text("here first", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"cannot be archived in .*; make room, or choose another"):
        archive_next(database, keys, folder, NOW)
    assert numbers(database) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_shared_database_archives_only_where_it_is_told_a_folder(stored_in: Settings, tmp_path: Path) -> None:
    own = None if stored_in.database_url else stored_in.home / "audit"
    assert archives_of(stored_in, database_of(stored_in)) == own
    told = stored_in.model_copy(update={"audit_archive": tmp_path})
    assert archives_of(told, database_of(told)) == tmp_path
