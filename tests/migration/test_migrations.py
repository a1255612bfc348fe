"""The schema, step by step, on real SQLite: up, down, at once from many processes, and from odd places."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import vel_tutor_mcp
from vel_tutor_mcp import leaves
from vel_tutor_mcp.app import FILE_NAME, prepare
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.store.tables import metadata

REVISIONS = schema.revisions()
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
    return tmp_path / FILE_NAME


@contextmanager
def connected(file: Path) -> Iterator[sa.Connection]:
    database = SqliteDatabase(file)
    engine = database.blocking_engine()
    with engine.begin() as connection:
        yield connection
    engine.dispose()
    asyncio.run(database.close())


def migrated(file: Path) -> Path:
    """A database of this version, of our own tables alone."""
    database = SqliteDatabase(file)
    schema.prepare(database, lambda: None)
    asyncio.run(database.close())
    return file


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def refusal(home: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        prepare(Settings(home=home))
    return str(refused.value)


def started(what: str, home: Path, source: Path | None = None) -> "subprocess.Popen[str]":
    """A process that prepares or uses the home as soon as a line comes on its stdin."""
    root = source or Path(vel_tutor_mcp.__file__).parents[1]
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, what, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment | {"PYTHONPATH": str(root), "PYTHONUTF8": "1", "HOME": str(home.parent)},
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, error = process.communicate("\n", timeout=WAIT_SECONDS)
    assert error == ""
    return process.returncode, out


def test_the_upgraded_schema_is_that_of_the_tables(file: Path) -> None:
    with connected(migrated(file)) as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_the_upgraded_schema_has_the_indexes_and_foreign_keys_of_the_tables(file: Path, tmp_path: Path) -> None:
    with connected(tmp_path / "made.db") as connection:
        metadata.create_all(connection)
    made, upgraded = (shape(path) for path in (tmp_path / "made.db", migrated(file)))
    assert upgraded == made


def shape(file: Path) -> dict[str, object]:
    """Everything that SQLite says of each table, in an order of its own."""
    questions = ("table_xinfo", "foreign_key_list", "index_list")
    with closing(sqlite3.connect(file)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        told = {
            f"{name} {question}": sorted(row[1:] for row in connection.execute(f"PRAGMA {question}({name})"))
            for name in names
            if name in metadata.tables
            for question in questions
        }
        indexes = connection.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql != ''")
        return told | {name: " ".join(text.split()) for name, table, text in indexes if table in metadata.tables}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_goes_up_and_down_and_up_again(file: Path, revision: str) -> None:
    below = ["base", *REVISIONS][REVISIONS.index(revision)]
    dumps = []
    for step in (below, revision, below, revision, "head"):
        with connected(file) as connection:
            schema.to_revision(connection, step)
        dumps.append(dump(file))
    assert dumps[1] == dumps[3]
    assert dumps[1] != dumps[2]


def test_all_the_way_down_leaves_nothing(file: Path) -> None:
    with connected(migrated(file)) as connection:
        schema.to_revision(connection, "base")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall() in (
            [],
            [("alembic_version",), ("sqlite_autoindex_alembic_version_1",)],
            [("alembic_version",)],
        )


def test_revisions_follow_each_other() -> None:
    scripts = list((leaves.folder("migrations") / "versions").glob("*.py"))
    assert len(scripts) == len(REVISIONS) == len(set(REVISIONS))
    for revision, before in zip(REVISIONS, [None, *REVISIONS], strict=False):
        (text,) = (leaf.read_text(encoding="utf-8") for leaf in scripts if leaf.name.startswith(f"{revision}_"))
        assert f'revision = "{revision}"' in text
        assert f"down_revision = {before and chr(34) + before + chr(34)}" in text


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert ended(started("prepare", tmp_path / "home"))[0] == 0
        before = dump(tmp_path / "home" / FILE_NAME)
    assert dump(tmp_path / "home" / FILE_NAME) == before


def test_processes_that_start_at_once_on_a_fresh_home_all_succeed(tmp_path: Path) -> None:
    processes = [started("prepare", tmp_path / "home") for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [ended(process)[0] for process in processes] == [0, 0, 0]
    assert shape(tmp_path / "home" / FILE_NAME) == shape(migrated(tmp_path / "alone.db"))


@pytest.mark.parametrize(
    ("revision", "why"),
    [("9999", "which a newer vel-tutor-mcp made"), ("ae1027a6acf", "another program's tables")],
)
def test_a_database_of_an_unknown_revision_is_refused_untouched(file: Path, revision: str, why: str) -> None:
    with connected(migrated(file)) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))
    before = file.read_bytes()
    sentence = refusal(file.parent)
    assert why in sentence
    assert revision in sentence
    assert str(file) in sentence
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused_untouched(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = file.read_bytes()
    sentence = refusal(file.parent)
    assert "another program's (recipes)" in sentence
    assert "VEL_TUTOR_DATABASE_URL" in sentence
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert ended(started("prepare", tmp_path / name))[0] == 0
    with closing(sqlite3.connect(tmp_path / name / FILE_NAME)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_migrations_may_stand_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    package = Path(vel_tutor_mcp.__file__).parent
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / name / "src" / package.name, ignore=leave)
    shutil.copytree(leaves.folder("migrations"), tmp_path / name / "migrations", ignore=leave)
    code, migrations = ended(started("prepare", tmp_path / "home", source=tmp_path / name / "src"))
    assert (code, Path(migrations)) == (0, tmp_path / name / "migrations")


@pytest.mark.parametrize(
    "rubbish", [b"no database, but as long as one " * 200, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_untouched(file: Path, rubbish: bytes) -> None:
    file.write_bytes(rubbish)
    sentence = refusal(file.parent)
    assert sentence.startswith(f"The database {file} cannot be used; ")
    assert sentence.endswith("; move it away or choose another folder with VEL_TUTOR_HOME.")
    assert file.read_bytes() == rubbish


def test_a_folder_in_the_place_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    assert refusal(file.parent).startswith(f"The database {file} cannot be ")


def test_a_file_in_the_place_of_the_home_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("here first", encoding="utf-8")
    assert refusal(home).startswith(f"The folder {home} cannot be made; ")
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
    assert ended(started("prepare", home))[0] == 0
    for path in home.iterdir():
        path.chmod(0o777 if path.is_dir() else 0o666)
    home.chmod(0o777)
    (home / FILE_NAME).chmod(stat.S_IREAD | stat.S_IRGRP | stat.S_IROTH)
    code, sentence = ended(started("use", home))
    assert code == 78
    assert sentence.startswith(f"The database {home / FILE_NAME} cannot be written; ")
    assert "make the file and its folder writable" in sentence


def test_a_read_only_folder_is_refused_with_what_to_do(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    home.chmod(0o555)
    code, sentence = ended(started("use", home))
    assert code == 78
    assert str(home) in sentence
    assert sentence.endswith("VEL_TUTOR_HOME.")
