"""The schema, step by step, on real databases: up, down, at once from many processes, and from odd places."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgresql import query
from revisions import REVISIONS, NewPlace, connected, dump, migrated, shape, tables

import vel_tutor_mcp
from vel_tutor_mcp import leaves
from vel_tutor_mcp.app import open_app, prepare
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.places import FILE_NAME, database_of
from vel_tutor_mcp.store.tables import metadata

# What a server does with its home, ending as it does: by nothing but the end of the process.
CHILD = """
import asyncio, os, sys
from pathlib import Path
from vel_tutor_mcp import leaves
from vel_tutor_mcp.app import open_app, prepare
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import AgentConfig, AgentType
from vel_tutor_mcp.settings import Settings

async def use(home):
    async with open_app(Settings(home=home)) as app:
        await app.agents.create(app.local_principal, "x", AgentType.RESEARCHER, AgentConfig())

def leave(code, text):
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(code)

what, home = sys.argv[1], Path(sys.argv[2])
sys.stdin.readline()
try:
    if what == "prepare":
        prepare(Settings(home=home))
    else:
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # for root no file is read-only
            asyncio.run(use(home.parent / "warm"))  # loads all that the other user may not
            os.setuid(65534)
        asyncio.run(use(home))
except ConfigurationError as problem:
    leave(78, str(problem))
leave(0, str(leaves.folder("migrations")))
"""
ODD_NAMES = ["with spaces, grün-日本, it's", "My%20Files 100% #1 %(here)s"]
if os.name == "posix":
    ODD_NAMES.append("what? a;b&c=d")
WAIT_SECONDS = 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of SQLite alone, as are the tests of odd files and folders."""
    return tmp_path / FILE_NAME


def refusal(place: Settings) -> str:
    with pytest.raises(ConfigurationError) as refused:
        prepare(place)
    return str(refused.value)


def started(what: str, place: Settings, source: Path | None = None) -> "subprocess.Popen[str]":
    """A process that prepares or uses the place as soon as a line comes on its stdin."""
    root = source or Path(vel_tutor_mcp.__file__).parents[1]
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    if place.database_url:
        environment["VEL_TUTOR_DATABASE_URL"] = place.database_url.get_secret_value()
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, what, str(place.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment | {"PYTHONPATH": str(root), "PYTHONUTF8": "1", "HOME": str(place.home.parent)},
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, error = process.communicate("\n", timeout=WAIT_SECONDS)
    assert error == ""
    return process.returncode, out


def test_the_upgraded_schema_is_that_of_the_tables(place: Settings) -> None:
    with connected(migrated(place)) as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_the_upgraded_schema_has_the_indexes_and_foreign_keys_of_the_tables(new_place: NewPlace) -> None:
    made, upgraded = new_place(), migrated(new_place())
    with connected(made) as connection:
        metadata.create_all(connection)
    assert shape(upgraded) == shape(made) != []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_goes_up_and_down_and_up_again(place: Settings, revision: str) -> None:
    below = ["base", *REVISIONS][REVISIONS.index(revision)]
    dumps = []
    for step in (below, revision, below, revision, "head"):
        with connected(place) as connection:
            schema.to_revision(connection, step)
        dumps.append(dump(place))
    assert dumps[1] == dumps[3]
    assert dumps[1] != dumps[2]


def test_all_the_way_down_leaves_nothing_and_up_again_all(place: Settings) -> None:
    before = dump(migrated(place))
    with connected(place) as connection:
        schema.to_revision(connection, "base")
    assert tables(place) in ([], ["alembic_version"])
    assert dump(migrated(place)) == before


def test_tasks_of_before_are_found_by_their_text(place: Settings) -> None:
    one, now = "1" * 32, datetime.now(UTC)
    times: dict[str, object] = {"created_at": now, "updated_at": now}
    owned: dict[str, object] = {"organisation_id": one, "owner_id": one}
    running: dict[str, object] = {
        "status": "pending",
        "priority": 1,
        "parameters": {},
        "cancel_requested": False,
        "running": False,
    }
    numbers = {"agent_version": 1, "attempt_set": 1, "recoveries": 0, "partial": False}
    task = running | numbers | {"id": one, "agent_id": one, "agent_name": "x", "prompt": "Grüße AUS Köln: STRASSE"}
    rows: dict[str, dict[str, object]] = {
        "organisations": {"id": one, "name": "one", "created_at": now},
        "users": {"id": one, "organisation_id": one, "name": "x", "role": "admin"} | times,
        "agents": {"id": one, "name": "x", "type": "researcher", "status": "active", "version": 1} | owned | times,
        "tasks": task | owned | times,
    }
    with connected(place) as connection:
        schema.to_revision(connection, "0016")
        for table, row in rows.items():
            connection.execute(metadata.tables[table].insert(), row)
    with connected(migrated(place)) as connection:
        (text,) = connection.execute(sa.select(metadata.tables["task_texts"])).mappings()
    assert text["text"] == "grüsse aus köln: strasse"
    assert (text["task_id"].replace("-", ""), text["created_at"]) == (one, now)


def test_revisions_follow_each_other() -> None:
    scripts = list((leaves.folder("migrations") / "versions").glob("*.py"))
    assert len(scripts) == len(REVISIONS) == len(set(REVISIONS))
    for revision, before in zip(REVISIONS, [None, *REVISIONS], strict=False):
        (text,) = (leaf.read_text(encoding="utf-8") for leaf in scripts if leaf.name.startswith(f"{revision}_"))
        assert f'revision = "{revision}"' in text
        assert f"down_revision = {before and chr(34) + before + chr(34)}" in text


@pytest.mark.parametrize("number", [REVISIONS[-1], f"{int(REVISIONS[-1]) + 1:04}"], ids=["taken", "next"])
def test_two_migrations_that_follow_the_same_one_are_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    copied = shutil.copytree(leaves.folder("migrations"), tmp_path / "migrations")
    added = f'revision = "{number}"\ndown_revision = "{REVISIONS[-2]}"\n\n\ndef upgrade() -> None: ...\n'
    (copied / "versions" / f"{number}_notes.py").write_text(added, encoding="utf-8")
    monkeypatch.setattr(schema, "folder", lambda _: copied)
    with pytest.raises(ConfigurationError, match=r"follow the same one; .* next number"):
        prepare(Settings(home=tmp_path / "home"))


def test_a_second_start_changes_nothing(place: Settings) -> None:
    assert ended(started("prepare", place))[0] == 0
    before = dump(place)
    assert ended(started("prepare", place))[0] == 0
    assert dump(place) == before


def test_processes_that_start_at_once_on_a_fresh_database_all_succeed(new_place: NewPlace) -> None:
    place, alone = new_place(), migrated(new_place())
    processes = [started("prepare", place) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [ended(process)[0] for process in processes] == [0, 0, 0]
    assert shape(place) == shape(alone)


@pytest.mark.parametrize(
    ("revision", "why"),
    [("9999", "which a newer vel-tutor-mcp made"), ("ae1027a6acf", "another program's tables")],
)
def test_a_database_of_an_unknown_revision_is_refused_untouched(place: Settings, revision: str, why: str) -> None:
    with connected(migrated(place)) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    before = dump(place)
    sentence = refusal(place)
    assert why in sentence
    assert revision in sentence
    assert database_of(place).place[1:] in sentence
    assert dump(place) == before


def test_a_database_of_another_program_is_refused_untouched(place: Settings) -> None:
    with connected(place) as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (name TEXT)")
        connection.exec_driver_sql("INSERT INTO recipes VALUES ('soup')")
    before = dump(place)
    sentence = refusal(place)
    assert "another program's (recipes)" in sentence
    assert "VEL_TUTOR_DATABASE_URL" in sentence
    assert dump(place) == before


@pytest.mark.parametrize("mark", ["UPDATE alembic_version SET version_num = '9999'", "DROP TABLE alembic_version"])
def test_a_file_that_is_refused_keeps_every_byte(file: Path, mark: str) -> None:
    with connected(migrated(Settings(home=file.parent))) as connection:
        connection.exec_driver_sql(mark)
    before = file.read_bytes()
    refusal(Settings(home=file.parent))
    assert file.read_bytes() == before


@pytest.mark.anyio
async def test_other_programs_tables_in_other_schemas_are_left_alone(postgres_url: str, tmp_path: Path) -> None:
    for schema_of_theirs in ("public", "dbos"):
        query(postgres_url, f"CREATE SCHEMA IF NOT EXISTS {schema_of_theirs}")
        for table in ("alembic_version", "dbos_migrations", "tasks", "workflow_status"):
            query(postgres_url, f"CREATE TABLE {schema_of_theirs}.{table} AS SELECT 'theirs'::text AS version_num")
    theirs = "SELECT table_schema, table_name, column_name FROM information_schema.columns ORDER BY 1, 2, 3"
    before = {row for row in query(postgres_url, theirs) if row[0] in {"public", "dbos"}}
    place = Settings.model_validate({"home": tmp_path, "database_url": postgres_url})

    async with open_app(place) as app:
        assert [agent.name for agent in (await app.agents.list(app.local_principal)).rows] == ["default"]

    assert {row for row in query(postgres_url, theirs) if row[0] in {"public", "dbos"}} == before
    assert query(postgres_url, "SELECT version_num FROM public.alembic_version") == [("theirs",)]
    assert query(postgres_url, "SELECT name FROM vel_tutor.agents") == [("default",)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert ended(started("prepare", Settings(home=tmp_path / name)))[0] == 0
    with closing(sqlite3.connect(tmp_path / name / FILE_NAME)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_migrations_may_stand_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    package = Path(vel_tutor_mcp.__file__).parent
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / name / "src" / package.name, ignore=leave)
    shutil.copytree(leaves.folder("migrations"), tmp_path / name / "migrations", ignore=leave)
    code, migrations = ended(started("prepare", Settings(home=tmp_path / "home"), source=tmp_path / name / "src"))
    assert (code, Path(migrations)) == (0, tmp_path / name / "migrations")


@pytest.mark.parametrize(
    "rubbish", [b"no database, but as long as one " * 200, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_untouched(file: Path, rubbish: bytes) -> None:
    file.write_bytes(rubbish)
    sentence = refusal(Settings(home=file.parent))
    assert sentence.startswith(f"The database {file} cannot be used; ")
    assert sentence.endswith("; move it away or choose another folder with VEL_TUTOR_HOME.")
    assert file.read_bytes() == rubbish


def test_a_folder_in_the_place_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    assert refusal(Settings(home=file.parent)).startswith(f"The database {file} cannot be ")


def test_a_file_in_the_place_of_the_home_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("here first", encoding="utf-8")
    assert refusal(Settings(home=home)).startswith(f"The folder {home} cannot be made; ")
    assert home.read_text(encoding="utf-8") == "here first"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_a_read_only_file_is_refused_with_what_to_do(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    assert ended(started("prepare", Settings(home=home)))[0] == 0
    for path in home.iterdir():
        path.chmod(0o777 if path.is_dir() else 0o666)
    home.chmod(0o777)
    (home / FILE_NAME).chmod(stat.S_IREAD | stat.S_IRGRP | stat.S_IROTH)
    code, sentence = ended(started("use", Settings(home=home)))
    assert code == 78
    assert sentence.startswith(f"The database {home / FILE_NAME} cannot be written; ")
    assert "make the file and its folder writable" in sentence


def test_a_read_only_folder_is_refused_with_what_to_do(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    home.chmod(0o555)
    code, sentence = ended(started("use", Settings(home=home)))
    assert code == 78
    assert str(home) in sentence
    assert sentence.endswith("VEL_TUTOR_HOME.")
