"""Bring the database to this version's schema: ours by Alembic, the execution engine's by the engine itself.

Runs at every start, before anything else, one process at a time.
"""

from collections.abc import Callable

import sqlalchemy as sa

from vel_tutor_mcp.errors import ConfigurationError, Unavailable
from vel_tutor_mcp.leaves import folder
from vel_tutor_mcp.store.database import Database

# Of Alembic; what stands in it says whose tables these are.
_REVISION_TABLE = "alembic_version"
_SHOWN_TABLES = 3


def prepare(database: Database, migrate_engine: Callable[[], None]) -> None:
    """Make the tables, or bring older ones up to date. Blocks.

    Raises:
        Unavailable: the database cannot be used now.
        ConfigurationError: it cannot be written, holds what is not ours, or a newer version made it.
    """
    try:
        with database.translated():
            database.make()
            with database.alone():
                _migrate(database)
                migrate_engine()
    except TimeoutError:
        raise Unavailable(
            f"Another process is still upgrading {database.place}; it has the lock for upgrades; wait for it, or stop "
            "it and start again."
        ) from None


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
    now = present(connection)
    down = revision == "base" or (now is not None and revision != "head" and revision < now)
    (command.downgrade if down else command.upgrade)(config, revision)


def present(connection: sa.Connection) -> str | None:
    """The revision that the database is of; None where it has no tables of ours."""
    if not sa.inspect(connection).has_table(_REVISION_TABLE):
        return None
    revision: str | None = connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(_REVISION_TABLE)))
    return revision


def _migrate(database: Database) -> None:
    engine = database.blocking_engine()
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # pysqlite begins only before it changes rows: a reader could see half of the tables.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection, database.place)
            connection.commit()
    finally:
        engine.dispose()


def _upgrade(connection: sa.Connection, place: str) -> None:
    known, now = revisions(), present(connection)
    if now == known[-1]:
        return  # Alembic costs 0.1 s to import: not on every start
    if now is None:
        _refuse_foreign(connection, place)
    elif now not in known:
        raise _not_ours(place, now, known[-1])
    to_revision(connection, "head")


def _refuse_foreign(connection: sa.Connection, place: str) -> None:
    tables = sorted(sa.inspect(connection).get_table_names())
    if tables and _REVISION_TABLE not in tables:
        shown = ", ".join(tables[:_SHOWN_TABLES]) + (", ..." if len(tables) > _SHOWN_TABLES else "")
        raise ConfigurationError(
            f"Where our tables belong in {place} there are another program's ({shown}); they were left as they are; "
            "give vel-tutor-mcp a database of its own with VEL_TUTOR_DATABASE_URL or VEL_TUTOR_HOME."
        )


def _not_ours(place: str, revision: str, newest: str) -> ConfigurationError:
    if revision.isdecimal() and len(revision) == len(newest):
        return ConfigurationError(
            f"{place[0].upper()}{place[1:]} is of revision {revision}, which a newer vel-tutor-mcp made; this one "
            f"knows up to {newest}; upgrade vel-tutor-mcp, or choose another place with VEL_TUTOR_DATABASE_URL or "
            "VEL_TUTOR_HOME."
        )
    return ConfigurationError(
        f"{place[0].upper()}{place[1:]} holds another program's tables; their revision {revision} is none of ours; "
        "they were left as they are: give vel-tutor-mcp a database of its own with VEL_TUTOR_DATABASE_URL or "
        "VEL_TUTOR_HOME."
    )
