"""Moving an installation to another database: who may, from where, to where; `store.copying` does it. Blocks."""

from collections.abc import Callable

from vel_tutor_mcp.errors import ConfigurationError, Conflict, VelError
from vel_tutor_mcp.execution.liveness import lease_on
from vel_tutor_mcp.store import copying, schema
from vel_tutor_mcp.store.copying import Step
from vel_tutor_mcp.store.database import Database, capital
from vel_tutor_mcp.store.inspection import Inventory, inventory
from vel_tutor_mcp.store.schema import State


def move(
    source: Database, target: Database, upgrade: Callable[[Database], None], tell: Callable[[Step], None]
) -> dict[str, int]:
    """Copy all to the target, whose tables are made by `upgrade`; how many rows each table has, all compared.

    Raises:
        Unavailable: a database cannot be used now.
        Conflict: somebody uses the source. ConfigurationError: one of the two is not fit for it.
    """
    here, there = inventory(source), inventory(target)
    if problem := _unfit_source(source.place, here) or _unfit_target(target.place, there, here):
        raise problem
    # Before the target is touched; `copying` looks again when it holds both, and when all is copied.
    _refuse_users(source)
    upgrade(target)
    return copying.copy(source, target, lambda: _refuse_users(source), tell)


def _unfit_source(place: str, found: Inventory) -> VelError | None:
    match found.state:
        case State.EMPTY:
            return ConfigurationError(
                f"There is nothing to copy in {place}; it is empty; name the one in use with VEL_TUTOR_DATABASE_URL or "
                "VEL_TUTOR_HOME."
            )
        case State.BEHIND:
            return ConfigurationError(
                f"{capital(place)} is of revision {found.revision}, older than this version's "
                f"{schema.revisions()[-1]}; only the newest is copied; upgrade it first: vel-tutor-mcp db upgrade."
            )
        case _:
            return schema.refusal(place, found.revision, found.tables)


def _unfit_target(place: str, found: Inventory, source: Inventory) -> VelError | None:
    if found.identity == source.identity:
        return ConfigurationError(f"Source and target are the same; both are {place}; name another database with --to.")
    if refused := schema.refusal(place, found.revision, found.tables):
        return refused
    if table := next((table for table, rows in found.rows.items() if rows), None):
        return copying.has_rows(place, table)
    if found.begun:
        return ConfigurationError(
            f"Nothing can be copied to {place}; the execution engine's record there is of tasks that were removed, and "
            "copied ones would pass for begun; name an empty database."
        )
    return None


def _refuse_users(database: Database) -> None:
    with database.translated():
        users = lease_on(database).living()
    if users:
        raise Conflict(
            f"{capital(database.place)} is in use by {' and '.join(users)}; what that wrote "
            "meanwhile would be lost; stop every server, worker and command on it and copy again."
        )
