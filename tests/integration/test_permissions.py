"""What each role may ask of each service, and that nobody finds what is another's: refused, and on record once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest
import sqlalchemy as sa
from operations import CALLS, DECIDES, WITHIN, Things, call, operations, owned
from people import Front, alone
from stores import NewDatabase
from world import connected

from vel_tutor_mcp.auth import roles
from vel_tutor_mcp.auth.roles import Operation, Reach, may
from vel_tutor_mcp.errors import Forbidden, NotFound, VelError
from vel_tutor_mcp.models import AgentConfig, AgentType, Principal, Role
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.tables import metadata

pytestmark = pytest.mark.anyio

ROLES: tuple[Role, ...] = get_args(Role)
# By what the thing is found that these name, which is not their own operation.
FOUND_BY = {
    "tasks.submit": Operation.AGENT_READ,
    "comparisons.start": Operation.AGENT_READ,
    "runs.start": Operation.WORKFLOW_READ,
    "workflows.save": Operation.RUN_READ,
    "budgets.set": Operation.AGENT_READ,
    "budgets.remove": Operation.AGENT_READ,
}
NAMES_ANOTHERS = [name for name, arguments in CALLS.items() if arguments(Things()) != arguments(Things(*"abcdefgh"))]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Front]:
    async with alone(tmp_path_factory.mktemp("home"), new_database, issuer="https://login.example") as desk:
        yield desk


async def is_forbidden(desk: Front, name: str, who: Principal) -> bool:
    try:
        await call(desk, name, who, Things())
    except Forbidden:
        return True
    except VelError:
        return False
    return False


async def answer(desk: Front, name: str, who: Principal, things: Things) -> str:
    try:
        await call(desk, name, who, things)
    except NotFound as problem:
        return str(problem)
    return "It was done."


async def refusals(desk: Front, who: Principal) -> list[str]:
    """The subjects of what was refused to them."""
    async with desk.database.read(INSTALLATION) as tx:
        theirs = (audit_logs.c.owner_id == who.user_id, audit_logs.c.action == "refused")
        query = sa.select(audit_logs.c.subject).where(*theirs).order_by(audit_logs.c.sequence)
        return list(await tx.scalars(query))


def test_every_operation_is_tried() -> None:
    assert {*CALLS, DECIDES} == operations().keys() - WITHIN
    assert len(NAMES_ANOTHERS) >= 25


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_refused_what_the_table_does_not_give_it_and_nothing_else(desk: Front, role: Role) -> None:
    who = (await desk.join(role, "of roles")).principal
    expected = []
    for name in sorted(operations().keys() - WITHIN):
        allowed = may(role, operations()[name].operation)
        expected += [] if allowed else [f"user:{who.user_id}"]
        assert (name, await is_forbidden(desk, name, who)) == (name, not allowed)
        assert (name, await refusals(desk, who)) == (name, expected)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same organisation", "another organisation"])
async def test_what_is_anothers_is_answered_as_what_does_not_exist(desk: Front, role: Role, elsewhere: bool) -> None:
    owner = (await desk.join("task_executor", "of owners")).principal
    things = await owned(desk, owner)
    who = (await desk.join(role, "of strangers" if elsewhere else "of owners")).principal
    before: list[str] = []
    for name in sorted({*NAMES_ANOTHERS, DECIDES} - WITHIN):
        if not may(role, operations()[name].operation) or _reaches(role, name, elsewhere=elsewhere):
            continue
        of_theirs, of_nothing = [await answer(desk, name, who, sought) for sought in (things, Things())]
        assert (name, of_theirs) == (name, of_nothing)
        *earlier, newest = await refusals(desk, who)
        assert (name, earlier) == (name, before)
        assert newest.partition(":")[2] in vars_of(things)
        before = [*earlier, newest]


async def test_nothing_of_anothers_is_in_any_list(desk: Front) -> None:
    owner = (await desk.join("task_executor", "listed")).principal
    things = await owned(desk, owner)
    for role in ROLES:
        stranger = (await desk.join(role, "elsewhere")).principal
        app = desk.app
        for listed in (app.agents.list, app.tasks.list, app.runs.list, app.workflows.list, app.audit.search):
            shown = repr(await listed(stranger, limit=100))
            assert not [thing for thing in vars_of(things) if thing in shown]
        for kind, begun in (("agents", things.agent), ("tasks", things.task), ("runs", things.run)):
            assert await getattr(app.completions, kind)(stranger, begun[:8], 100) == []


async def test_an_administrator_finds_what_is_of_their_organisation(desk: Front) -> None:
    owner = (await desk.join("task_executor", "kept")).principal
    things = await owned(desk, owner)
    chief = (await desk.join("org_admin", "kept")).principal
    assert (await desk.app.tasks.get(chief, things.task)).owner_id == owner.user_id
    assert (await desk.app.agents.get(chief, things.agent))[0].owner_id == owner.user_id
    manager = (await desk.join("agent_manager", "kept")).principal
    assert (await desk.app.agents.get(manager, things.agent))[0].owner_id == owner.user_id
    with pytest.raises(NotFound):
        await desk.app.tasks.get(manager, things.task)


# Where these say that the server looked for alerts meanwhile, or rolled up, what has changed may be by that.
EACH_MINUTE = ("alert_looks", "usage_rolled")


async def test_a_tool_that_is_marked_as_reading_changes_nothing(desk: Front, tmp_path: Path) -> None:
    things = await owned(desk, desk.app.local_principal)
    (tmp_path / ".taskmaster" / "tasks").mkdir(parents=True)
    (tmp_path / ".taskmaster" / "tasks" / "tasks.json").write_text('{"house": {"tasks": []}}')
    arguments = {
        "agent_get": {"agent": things.agent},
        "dashboard_data": {"path": "/api/audit/verify"},
        "route_explain": {"prompt": "Say hello", "agent": things.agent},
        "task_get": {"id": things.task},
        "taskmaster_list": {"project": str(tmp_path)},
        "workflow_get": {"id": things.run},
    }
    async with connected(desk.app, "auto") as client:
        reading = [tool.name for tool in (await client.list_tools()).tools if tool.annotations.read_only_hint]  # type: ignore[union-attr]
        for _ in range(3):
            before = await everything(desk)
            for name in reading:
                result = await client.call_tool(name, arguments.get(name, {}))
                assert (name, result.is_error) == (name, False)
            after = await everything(desk)
            if all(after[name] == before[name] for name in EACH_MINUTE):
                break
    assert arguments.keys() < set(reading)
    assert after == before


async def everything(desk: Front) -> dict[str, list[str]]:
    """All rows there are, but those of checkpoints, which come of themselves."""
    tables = [table for name, table in metadata.tables.items() if name != "audit_checkpoints"]
    async with desk.database.read(INSTALLATION) as tx:
        return {table.name: sorted(map(repr, await tx.execute(sa.select(table)))) for table in tables}


async def test_a_deleted_agent_of_ones_own_is_no_refusal(desk: Front) -> None:
    me = (await desk.join()).principal
    made = await desk.app.agents.create(me, "gone", AgentType.RESEARCHER, AgentConfig())
    await desk.app.agents.delete(me, made.id)
    with pytest.raises(NotFound):
        await desk.app.agents.get(me, made.id)
    assert await refusals(desk, me) == []
    with pytest.raises(NotFound):
        await desk.app.agents.get(replace(me, user_id=str(uuid4())), made.id)


def vars_of(things: Things) -> list[str]:
    return list(vars(things).values())


def _reaches(role: Role, name: str, *, elsewhere: bool) -> bool:
    """Whether the role finds the owner's thing after all."""
    reach = roles.reach(role, FOUND_BY.get(name) or operations()[name].operation)
    return reach is Reach.INSTALLATION or (reach is Reach.ORGANISATION and not elsewhere)
