"""Row-level security: PostgreSQL holds each transaction to one organisation, whatever is wrong in what we ask it."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from operations import CALLS, DECIDES, WITHIN, Things, call, operations, owned
from people import Front, alone
from planted import PASSWORD
from postgresql import PostgresServer, query
from sqlalchemy.exc import DBAPIError
from stores import NewDatabase

from vel_tutor_mcp.auth import roles
from vel_tutor_mcp.auth.roles import Reach
from vel_tutor_mcp.errors import Conflict, VelError
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import permission
from vel_tutor_mcp.services.doctor.verdicts import Finding, Verdict, of_contents
from vel_tutor_mcp.store import inspection, paging, schema
from vel_tutor_mcp.store.columns import Utc
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction
from vel_tutor_mcp.store.isolation import OF_NO_ORGANISATION, ROLE
from vel_tutor_mcp.store.places import database_at
from vel_tutor_mcp.store.tables import metadata

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)]

OURS, THEIRS = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
ISOLATED = {
    name: "id" if name == "organisations" else "organisation_id" for name in metadata.tables.keys() - OF_NO_ORGANISATION
}
POLICIES = """
SELECT tablename, relrowsecurity AND relforcerowsecurity, roles, cmd, qual, with_check
FROM pg_policies JOIN pg_class ON pg_class.oid = (schemaname || '.' || tablename)::regclass ORDER BY tablename
"""
READS = {"tasks.get", "runs.tell", "agents.list", "workflows.get", "audit.search", "audit.export", "accounts.list"}
WRITES = {"agents.update", "agents.delete", "tasks.cancel", "runs.cancel", "access.revoke", "accounts.disable"}
_numbers = count(1)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def url(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as made:
        assert made is not None
        yield made


@pytest.fixture
async def planted(url: str, postgres: PostgresServer) -> AsyncIterator[Database]:
    """In which each table of an organisation has a row of ours and one of theirs."""
    engine = database_at(postgres.as_admin(url)).blocking_engine(INSTALLATION)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no references, and no triggers
        for name, column in ISOLATED.items():
            connection.execute(metadata.tables[name].delete())
            for organisation in (OURS, THEIRS):
                row = {each.name: value_for(each) for each in metadata.tables[name].columns}
                connection.execute(metadata.tables[name].insert(), row | {column: organisation})
    engine.dispose()
    database = database_at(url)
    yield database
    await database.close()


def value_for(column: sa.Column[Any]) -> Any:
    number = next(_numbers)
    match column.type:
        case sa.Uuid():
            return str(uuid4())
        case sa.String(length=length):
            return secrets.token_hex((length or 10) // 2)
        case Utc():
            return datetime.now(UTC)
        case kind:
            return {sa.Boolean: True, sa.LargeBinary: b"", sa.JSON: {}}.get(type(kind), number)


def test_every_table_has_its_policy_unless_it_is_named_as_of_no_organisation(url: str) -> None:
    found = {name: tuple(rest) for name, *rest in query(url, POLICIES)}
    assert found.keys() == ISOLATED.keys()
    for name, column in ISOLATED.items():
        within = f"(({column} = ( SELECT acting_organisation() AS acting_organisation)) OR ( SELECT acts_for_all()"
        forced, whom, what, using, check = found[name]
        assert (forced, whom, what, check) == (True, ["public"], "ALL", None)
        assert using.replace("vel_tutor.", "").startswith(within)
    for name in OF_NO_ORGANISATION:
        assert not {"organisation_id", "owner_id"} & set(metadata.tables[name].c.keys())


LOOKS = (
    "SELECT 1 FROM {0} WHERE {1} = '{2}'",
    "SELECT 1 FROM {0} WHERE {1} <> '{3}'",
    "UPDATE {0} SET {1} = {1} WHERE {1} = '{2}'",
    "UPDATE {0} SET {1} = '{3}' WHERE {1} = '{2}'",
    "DELETE FROM {0} WHERE {1} = '{2}'",
)


@pytest.mark.parametrize("statement", LOOKS, ids=range(len(LOOKS)))
async def test_no_row_of_another_organisation_is_seen_changed_or_removed(planted: Database, statement: str) -> None:
    async with planted.write(OURS) as tx:
        for table, column in ISOLATED.items():
            done = await tx.exec_driver_sql(statement.format(table, column, THEIRS, OURS))
            assert (table, done.rowcount) == (table, 0)


PUTS = {"insert": "INSERT INTO {0} ({1}) VALUES ('{2}')", "move": "UPDATE {0} SET {1} = '{2}'"}


@pytest.mark.parametrize("statement", PUTS.values(), ids=PUTS)
async def test_no_row_is_put_into_another_organisation(planted: Database, statement: str) -> None:
    async with planted.write(OURS) as tx:
        for table, column in ISOLATED.items():
            assert await is_refused(tx, statement.format(table, column, THEIRS)), table


async def is_refused(tx: Transaction, statement: str) -> bool:
    try:
        async with tx.begin_nested():
            await tx.exec_driver_sql(statement)
    except DBAPIError as problem:
        return any(words in str(problem.orig) for words in ("row-level security policy", "entries are never changed"))
    return False


async def test_each_transaction_sees_what_it_says_and_nothing_of_the_one_before(planted: Database) -> None:
    seen = []
    for acts_for in (OURS, THEIRS, INSTALLATION, OURS):
        for opened in (planted.read(acts_for), planted.write(acts_for)):
            async with opened as tx:
                seen.append({str(row.id) for row in await tx.exec_driver_sql("SELECT id FROM organisations")})
    assert seen == [it for it in ({OURS}, {THEIRS}, {OURS, THEIRS}, {OURS}) for _ in range(2)]


async def test_who_says_nothing_sees_no_row_of_any_organisation(planted: Database) -> None:
    engine = planted.blocking_engine()
    with engine.connect() as connection:
        for table in ISOLATED:
            assert (table, connection.exec_driver_sql(f"SELECT 1 FROM {table}").all()) == (table, [])
    engine.dispose()


@pytest.fixture
async def desk(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Front]:
    async with alone(tmp_path_factory.mktemp("home"), new_database, issuer="https://login.example") as desk:
        yield desk


async def test_with_the_services_checks_switched_off_nothing_of_another_organisation_is_read_or_written(
    desk: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, stranger = [(await desk.join("org_admin", name)).principal for name in ("of theirs", "of ours")]
    things = await owned(desk, victim)
    switch_off_checks(monkeypatch)

    assert await done_to(desk, victim, things, stranger) == {}

    # The test build is one: without the policies they do get through.
    with without_policies(desk):
        got_through = await done_to(desk, victim, things, stranger)
    assert got_through.keys() >= READS | WRITES


def switch_off_checks(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks may do all to everything; what names for whom a transaction is checks nothing, and stays."""
    off: Mapping[Any, Any] = {
        roles.permit: lambda *_: None,
        roles.may_to: lambda *_: True,
        roles.may_give: lambda *_: True,
        roles.reach: lambda *_: Reach.INSTALLATION,
        paging.visible: lambda *_: sa.true(),
    }
    for name, module in list(sys.modules.items()):
        if name.startswith("vel_tutor_mcp."):
            for function, instead in off.items():
                there = vars(module).get(function.__name__) is function
                if there and (name, function.__name__) != (permission.__name__, "reach"):
                    patch.setattr(module, function.__name__, instead)


@contextmanager
def without_policies(desk: Front) -> Iterator[None]:
    engine = desk.database.blocking_engine(INSTALLATION)
    # One by one: in one transaction each would hold its lock, and those who read meanwhile could not go on: a deadlock.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ISOLATED:
            connection.exec_driver_sql(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")  # which holds its owner
    engine.dispose()
    yield


async def done_to(desk: Front, victim: Principal, things: Things, stranger: Principal) -> dict[str, str]:
    """What each operation got of the victim's organisation, or did to it, of those that got or did anything."""
    found = {}
    assert {*CALLS, DECIDES} == operations().keys() - WITHIN
    for name in [*CALLS, DECIDES]:
        before = await state_of(desk, victim)
        told = await answer(desk, name, stranger, things)
        if leaked := [fact for fact in facts_of(name, victim, things) if fact in told]:
            found[name] = f"it told {leaked}"
        if await state_of(desk, victim) != before:
            found[name] = "it changed a row"
    return found


async def answer(desk: Front, name: str, who: Principal, things: Things) -> str:
    written: list[str] = []
    try:
        if name == "audit.export":
            await desk.app.audit.export(who, "jsonl", written.append)
            return "".join(written)
        return repr(await call(desk, name, who, things))
    except VelError as problem:
        return repr(problem)


def facts_of(name: str, victim: Principal, things: Things) -> list[str]:
    # The stranger's own entries repeat the ids that they asked for, in vain.
    ids = [] if name.startswith("audit.") else asdict(things).values()
    return [victim.organisation_id, victim.name, "A secret of theirs", *ids]


async def state_of(desk: Front, victim: Principal) -> Any:
    digest = "(SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {0} row WHERE {1} = '{2}')"
    parts = [digest.format(table, column, victim.organisation_id) for table, column in ISOLATED.items()]
    async with desk.database.read(INSTALLATION) as tx:
        return (await tx.exec_driver_sql(f"SELECT {', '.join(parts)}")).one()


async def test_what_is_one_for_all_is_kept_across_organisations(desk: Front) -> None:
    taken = await desk.join("viewer", "of theirs")
    chief = (await desk.join("org_admin", "of ours")).principal
    assert taken.email is not None

    with pytest.raises(Conflict, match="has an account already"):
        await desk.accounts.create(chief, taken.email, PASSWORD, "viewer")
    assert (await desk.app.audit.verify(chief)).ok


@pytest.fixture
def a_superusers(url: str, postgres: PostgresServer) -> str:
    return postgres.as_admin(url)


@pytest.fixture
def a_bypassers(url: str, postgres: PostgresServer) -> Iterator[str]:
    """Of a role that no policy holds and that may make no other, which owns the tables."""
    postgres.admin("CREATE ROLE bypasser LOGIN BYPASSRLS PASSWORD 'Bypass-1'")
    query(postgres.as_admin(url), "GRANT tester TO bypasser")
    place = url.rpartition("@")[2]
    yield f"postgresql://bypasser:Bypass-1@{place}"
    postgres.admin("DROP ROLE bypasser")


@pytest.fixture
def a_makers(url: str, postgres: PostgresServer) -> Iterator[str]:
    """Of a role that no policy holds either, which may make others: ours is not there yet."""
    rename(postgres, ROLE, "set_aside")
    postgres.admin("CREATE ROLE maker LOGIN BYPASSRLS CREATEROLE PASSWORD 'Make-1'")
    query(postgres.as_admin(url), "GRANT tester TO maker")
    yield f"postgresql://maker:Make-1@{url.rpartition('@')[2]}"
    query(postgres.as_admin(url), f"DROP OWNED BY {ROLE}")
    postgres.admin(f"DROP ROLE {ROLE}")
    postgres.admin("DROP ROLE maker")
    rename(postgres, "set_aside", ROLE)


def rename(postgres: PostgresServer, role: str, name: str) -> None:
    """If it is there: roles are the server's, and other databases may have ours in use."""
    if postgres.admin("SELECT 1 FROM pg_roles WHERE rolname = %s", role):
        postgres.admin(f"ALTER ROLE {role} RENAME TO {name}")


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Transaction]:
    """A transaction for our organisation by the role of this URL, as after a start."""
    database = database_at(url)
    await asyncio.to_thread(schema.prepare, database, lambda: None)
    async with database.write(OURS) as tx:
        yield tx
    await database.close()


@pytest.mark.usefixtures("planted")
async def test_a_superuser_acts_as_a_role_that_the_policies_hold(a_superusers: str) -> None:
    async with ours(a_superusers) as tx:
        assert (await tx.exec_driver_sql("SELECT current_user, session_user")).one() == (ROLE, "postgres")
        for table, column in ISOLATED.items():
            seen = (await tx.exec_driver_sql(f"SELECT {column} FROM {table}")).scalars().all()
            assert (table, [str(each) for each in seen]) == (table, [OURS])
    assert (await found_by_doctor(a_superusers)).verdict is Verdict.OK


@pytest.mark.usefixtures("planted")
async def test_whom_no_policy_holds_and_who_may_make_no_role_is_told_so_and_locked_out_of_nothing(
    a_bypassers: str,
) -> None:
    async with ours(a_bypassers) as tx:
        assert len((await tx.exec_driver_sql("SELECT id FROM organisations")).all()) == 2
    finding = await found_by_doctor(a_bypassers)
    assert finding.verdict is Verdict.WARNING
    assert f"GRANT {ROLE} TO" in finding.advice


@pytest.mark.usefixtures("planted")
async def test_whom_no_policy_holds_and_who_makes_our_role_may_become_it_and_is_held(a_makers: str) -> None:
    async with ours(a_makers) as tx:
        assert (await tx.exec_driver_sql("SELECT current_user, session_user")).one() == (ROLE, "maker")
        assert [str(row.id) for row in await tx.exec_driver_sql("SELECT id FROM organisations")] == [OURS]
    assert (await found_by_doctor(a_makers)).verdict is Verdict.OK


async def found_by_doctor(url: str) -> Finding:
    database = database_at(url)
    contents, _ = await inspection.postgresql(database)
    await database.close()
    return of_contents(database.place, contents, schema.revisions())
