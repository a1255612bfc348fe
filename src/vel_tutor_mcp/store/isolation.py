"""Row-level security: PostgreSQL holds each transaction to the rows of the organisation that it says it is for.

A transaction says so with the statement that begins it; one that says nothing sees no row of any organisation. A
migration made the policies; what obeys them is here. SQLite has nothing of the kind.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from vel_tutor_mcp.store.database import INSTALLATION, Transaction
from vel_tutor_mcp.store.tables import metadata

if TYPE_CHECKING:
    import psycopg

# Who we are on a connection whose own role no policy holds, such as a superuser's.
ROLE = "vel_tutor_app"
# Keys, breakers and clients are the installation's, tries are of who is not signed in, a checkpoint is a number, a hash
# and a signature, and what is rolled up is hours and days.
OF_NO_ORGANISATION = frozenset(
    {"signing_keys", "breakers", "oauth_clients", "tries", "audit_checkpoints", "usage_rolled", "alert_looks"}
)

_SETTING = "vel_tutor.organisation"
_TABLES = ", ".join(sorted(metadata.tables))
# Since PostgreSQL 16 who makes a role is its member, for one, and may not become it unless that is granted.
_MAY_BECOME = "CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END"

# Become that role where need be; where it cannot be had nothing happens, and `doctor` tells.
OBEY = f"""
SELECT set_config('role', app.rolname, false) FROM pg_roles own, pg_roles app
WHERE own.rolname = session_user AND (own.rolsuper OR own.rolbypassrls) AND app.rolname = '{ROLE}'
    AND pg_has_role(own.oid, app.oid, {_MAY_BECOME})
    AND has_schema_privilege(app.oid, to_regnamespace('vel_tutor')::oid, 'USAGE')
"""  # noqa: S608 - the name stands above
# Roles are the server's: databases may make it at once, or share it. Who may not make it goes on without.
MAKE_ROLE = f"""
DO $$ BEGIN
    IF NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user) THEN RETURN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        BEGIN CREATE ROLE {ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    END IF;
    IF NOT pg_has_role('{ROLE}', {_MAY_BECOME}) THEN GRANT {ROLE} TO CURRENT_USER; END IF;
    IF NOT (SELECT bool_and(has_table_privilege('{ROLE}', name, 'DELETE'))
            FROM unnest(string_to_array('{_TABLES}', ', ')) AS name) THEN
        GRANT USAGE ON SCHEMA vel_tutor TO {ROLE};
        GRANT SELECT, INSERT, UPDATE, DELETE ON {_TABLES} TO {ROLE};
        GRANT SELECT ON alembic_version TO {ROLE};
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA vel_tutor TO {ROLE};
    END IF;
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$
"""  # noqa: S608 - the names are our own


class Connection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """Begins a transaction and says for whom it is in one message, which costs no way to the server and back."""

    acts_for: str | None = None

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        if self.acts_for is not None and query.startswith("BEGIN"):
            query += f" SET LOCAL {_SETTING} = '{_checked(self.acts_for)}'"
        status: str = await super().execute(query, *args, timeout=timeout)
        return status


def driver_of(tx: Transaction) -> Connection:
    """The connection to PostgreSQL that the transaction is on."""
    assert tx.sync_connection is not None
    found: Connection = tx.sync_connection.connection.driver_connection  # type: ignore[assignment]  # which our pool made
    return found


async def act_for(tx: Transaction, acts_for: str) -> None:
    """From here on the transaction is for this organisation, or for the installation."""
    if tx.dialect.name != "postgresql":
        return
    driver = driver_of(tx)
    if driver.acts_for != acts_for:
        driver.acts_for = acts_for
        await tx.exec_driver_sql(f"SELECT set_config('{_SETTING}', $1, true)", (_checked(acts_for),))


@asynccontextmanager
async def everywhere(tx: Transaction) -> AsyncIterator[None]:
    """Meanwhile the transaction is for the installation: for a question whose answer holds no row of anybody's.

    After a failure it stays so: such a transaction ends.
    """
    before = driver_of(tx).acts_for if tx.dialect.name == "postgresql" else None
    await act_for(tx, INSTALLATION)
    yield
    # On SQLite nobody was named before, and nothing is set.
    await act_for(tx, before or INSTALLATION)


def hold(connection: "psycopg.Connection[tuple[Any, ...]]", acts_for: str) -> None:
    """Have all transactions of the connection be for this organisation, or for the installation; then as its owner."""
    connection.execute(f"SELECT set_config('{_SETTING}', %s, false)".encode(), (_checked(acts_for),))
    if acts_for != INSTALLATION:
        connection.execute(OBEY.encode())


def _checked(acts_for: str) -> str:
    # It becomes a part of a statement: nothing but an id may get there.
    return acts_for if acts_for == INSTALLATION else str(UUID(acts_for))
