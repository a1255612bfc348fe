"""Bring the database to this version's schema: ours by Alembic, the execution engine's by the engine itself.

Runs at every start, before anything else, one process at a time.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import sqlalchemy as sa

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.leaves import folder
from vel_tutor_mcp.store.database import INSTALLATION, Database, capital

# Of Alembic; what stands in it says whose tables these are.
_REVISION_TABLE = "alembic_version"
_SHOWN_TABLES = 3


class State(StrEnum):
    """How a database stands to this version."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    NEWER = "newer"
    FOREIGN = "foreign"


def state_of(revision: str | None, tables: int, known: Sequence[str]) -> State:
    """The state of a database with so many tables; `known` are this version's revisions, oldest first."""
    if revision is None:
        return State.FOREIGN if tables else State.EMPTY
    if revision in known:
        return State.CURRENT if revision == known[-1] else State.BEHIND
    # Ours are numbers of one length; what another project's migrations left looks otherwise.
    is_ours = revision.isdecimal() and len(revision) == len(known[-1])
    return State.NEWER if is_ours and revision > known[-1] else State.FOREIGN


def prepare(database: Database, migrate_engine: Callable[[], None]) -> None:
    """Make the tables, or bring older ones up to date. Blocks.

    Raises:
        Unavailable: the database cannot be used now.
        ConfigurationError: it cannot be written, holds what is not ours, or a newer version made it.
    """
    with database.translated():
        database.make()
        with database.alone():
            _migrate(database)
            migrate_engine()


def revisions() -> list[str]:
    """The revisions that this version knows, oldest first; a migration file is `<revision>_<name>.py`."""
    return sorted(path.name.split("_")[0] for path in (folder("migrations") / "versions").glob("*.py"))


def to_revision(connection: sa.Connection, revision: str) -> None:
    """Move the schema up or down to `revision` (`head`, `base` or one of `revisions()`) in the open transaction.

    Raises:
        ConfigurationError: the migrations do not follow each other.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # A percent sign in the path would be read as the beginning of a variable.
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    now = present(connection)
    down = revision == "base" or (now is not None and revision != "head" and revision < now)
    try:
        (command.downgrade if down else command.upgrade)(config, revision)
    except CommandError as problem:
        raise _in_disorder() from problem


def present(connection: sa.Connection) -> str | None:
    """The revision that the database is of; None where it has no tables of ours."""
    if not sa.inspect(connection).has_table(_REVISION_TABLE):
        return None
    revision: str | None = connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(_REVISION_TABLE)))
    return revision


def tables(connection: sa.Connection) -> tuple[str, ...]:
    """The names of all tables there, but Alembic's own."""
    return tuple(sorted(set(sa.inspect(connection).get_table_names()) - {_REVISION_TABLE}))


def _migrate(database: Database) -> None:
    # For the installation: a migration may change rows of every organisation.
    engine = database.blocking_engine(INSTALLATION)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # Or a table that others refer to could not be rebuilt, which is how SQLite changes columns.
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
                # pysqlite begins only before it changes rows: a reader could see half of the tables.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection, database.place)
            # Also where nothing was upgraded: roles are the server's, and may have changed since.
            database.secure(connection)
            connection.commit()
    finally:
        engine.dispose()


def _upgrade(connection: sa.Connection, place: str) -> None:
    now, known = present(connection), revisions()
    if len(set(known)) < len(known):  # of those with one number Alembic would run one, without a word of the other
        raise _in_disorder()
    if now == known[-1]:
        return  # Alembic costs 0.1 s to import: not on every start
    if refused := refusal(place, now, tables(connection)):
        raise refused
    to_revision(connection, "head")


def _in_disorder() -> ConfigurationError:
    return ConfigurationError(
        "The tables are not brought up to date; two migrations in `migrations/versions` have one number or follow the "
        "same one; give the newer one the next number, and the last before it as its `down_revision`."
    )


def refusal(place: str, revision: str | None, names: Sequence[str]) -> ConfigurationError | None:
    """Why tables of these names, of this revision, cannot be ours to use; None where they can."""
    known = revisions()
    match state_of(revision, len(names), known):
        case State.NEWER:
            return ConfigurationError(
                f"{capital(place)} is of revision {revision}, which a newer vel-tutor-mcp made; this one "
                f"knows up to {known[-1]}; upgrade vel-tutor-mcp, or choose another place with VEL_TUTOR_DATABASE_URL "
                "or VEL_TUTOR_HOME."
            )
        case State.FOREIGN if revision is not None:
            return ConfigurationError(
                f"{capital(place)} holds another program's tables; their revision {revision} is none of "
                "ours; they were left as they are: give vel-tutor-mcp a database of its own with "
                "VEL_TUTOR_DATABASE_URL or VEL_TUTOR_HOME."
            )
        case State.FOREIGN:
            shown = ", ".join(names[:_SHOWN_TABLES]) + (", ..." if len(names) > _SHOWN_TABLES else "")
            return ConfigurationError(
                f"Where our tables belong in {place} there are another program's ({shown}); they were left as they "
                "are; give vel-tutor-mcp a database of its own with VEL_TUTOR_DATABASE_URL or VEL_TUTOR_HOME."
            )
    return None
