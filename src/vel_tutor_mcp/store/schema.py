"""Bring the database to this version's schema: ours by Alembic, the execution engine's by the engine itself.

Runs at every start, before anything else, under a lock that all processes on the file share.
"""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.exc import DatabaseError

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.leaves import folder
from vel_tutor_mcp.store.database import Database, refused_write

_LOCK_WAIT_SECONDS = 60


def prepare(database: Database, migrate_engine: Callable[[], None]) -> None:
    """Create the file and its folder, or bring an older file up to date. Blocks.

    Raises:
        ConfigurationError: the folder cannot be written, the file is no database, or a newer version made it.
    """
    _make_folder(database.path.parent)
    try:
        with FileLock(database.path.with_suffix(".migrate.lock"), timeout=_LOCK_WAIT_SECONDS):
            _migrate(database)
            migrate_engine()
    except TimeoutError:
        raise ConfigurationError(
            f"Another process has been upgrading {database.path} for {_LOCK_WAIT_SECONDS} s; "
            "wait for it, or stop it and start again."
        ) from None
    except (DatabaseError, OSError) as problem:
        raise _unusable(database.path, problem) from None


def revisions() -> list[str]:
    """The revisions that this version knows, oldest first; a migration file is `<revision>_<name>.py`."""
    return sorted(path.name.split("_")[0] for path in (folder("migrations") / "versions").glob("*.py"))


def to_revision(connection: sa.Connection, revision: str) -> None:
    """Move the schema up or down to `revision` (`head`, `base` or one of `revisions()`) in the open transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    present = _present(connection)
    down = revision == "base" or (present is not None and revision != "head" and revision < present)
    (command.downgrade if down else command.upgrade)(config, revision)


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigurationError(
            f"The folder {home} cannot be made; {problem.strerror}; make it writable, or choose another one "
            "with VEL_TUTOR_HOME."
        ) from None


def _migrate(database: Database) -> None:
    engine = database.blocking_engine()
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        # pysqlite begins only before it changes rows: without this two processes would both create the tables.
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection, database.path)
            connection.commit()
    finally:
        engine.dispose()


def _upgrade(connection: sa.Connection, path: Path) -> None:
    known, present = revisions(), _present(connection)
    if present == known[-1]:
        return  # Alembic costs 0.1 s to import: not on every start
    if present is not None and present not in known:
        raise ConfigurationError(
            f"The database {path} is of revision {present}, which a newer vel-tutor-mcp made; this one knows up to "
            f"{known[-1]}; upgrade vel-tutor-mcp, or choose another folder with VEL_TUTOR_HOME."
        )
    to_revision(connection, "head")


def _present(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision


def _unusable(path: Path, problem: DatabaseError | OSError) -> ConfigurationError:
    if isinstance(problem, DatabaseError) and (refusal := refused_write(path, problem)):
        return refusal
    reason = problem.orig if isinstance(problem, DatabaseError) else problem.strerror
    return ConfigurationError(
        f"The database {path} cannot be used; {reason}; move it away or choose another folder with VEL_TUTOR_HOME."
    )
