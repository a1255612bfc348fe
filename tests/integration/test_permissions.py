"""What each role may ask of each service, and that nobody finds what is another's: refused, and on record once."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args
from uuid import uuid4

import pytest
import sqlalchemy as sa
from operations import WITHIN, operations
from people import PASSWORD, Front, front
from stores import NewDatabase
from world import shared_app, simulated_providers

from vel_tutor_mcp.auth import roles
from vel_tutor_mcp.auth.roles import Operation, Reach, may
from vel_tutor_mcp.errors import Forbidden, NotFound, VelError
from vel_tutor_mcp.models import AgentConfig, AgentType, Policy, Principal, RateLimits, Role, TaskRequest
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.store.tables import audit_logs
from vel_tutor_mcp.workflows.model import How, RunRequest

pytestmark = pytest.mark.anyio

ROLES: tuple[Role, ...] = get_args(Role)
NOWHERE = "917e6895-66c8-445f-b6d6-6f615c07879c"
ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Go on?"}]}


@dataclass(frozen=True)
class Things:
    """One of each kind, of one owner; `user` is who, `grant` a token of theirs."""

    agent: str = NOWHERE
    task: str = NOWHERE
    workflow: str = NOWHERE
    run: str = NOWHERE
    user: str = NOWHERE
    grant: str = NOWHERE


# The arguments of every operation, behind who asks: of things that they have, or of another's, or of none.
CALLS: Mapping[str, Callable[[Things], tuple[Any, ...]]] = {
    "rates.get": lambda things: ("user", things.user),
    "rates.set": lambda things: ("user", things.user, RateLimits(5)),
    "streams.read": lambda things: (things.task, 0),
    "tasks.submit": lambda things: (TaskRequest(prompt="Say hello", agent=things.agent),),
    "tasks.get": lambda things: (things.task,),
    "tasks.tell": lambda things: (things.task,),
    "tasks.list": lambda _: (),
    "tasks.follow": lambda things: (things.task, 0),
    "tasks.cancel": lambda things: (things.task,),
    "tasks.retry": lambda things: (things.task,),
    "tasks.rate": lambda things: (things.task, 5),
    "runs.start": lambda things: (RunRequest(workflow=things.workflow, inputs={}),),
    "runs.get": lambda things: (things.run,),
    "runs.tell": lambda things: (things.run,),
    "runs.list": lambda _: (),
    "runs.follow": lambda things: (things.run, 0),
    "runs.find": lambda things: (things.run, 0),
    "runs.stop": lambda things: (things.run,),
    "runs.asked": lambda things: (things.run, "ok"),
    "runs.cancel": lambda things: (things.run,),
    "runs.retry": lambda things: (things.run,),
    "workflows.save": lambda things: ("flow", {"run": things.run}),
    "workflows.get": lambda things: (things.workflow,),
    "workflows.list": lambda _: (),
    "workflows.templates": lambda _: (),
    "agents.create": lambda _: ("agent", AgentType.RESEARCHER, AgentConfig()),
    "agents.list": lambda _: (),
    "agents.get": lambda things: (things.agent,),
    "agents.update": lambda things: (things.agent,),
    "agents.delete": lambda things: (things.agent,),
    "agents.test": lambda things: (things.agent, "Say hello"),
    "routes.explain": lambda things: ("Say hello", things.agent, None, None),
    "usage.report": lambda _: ("day", "provider"),
    "what_if.compare": lambda _: ("day", Policy.CHEAPEST),
    "budgets.list": lambda _: (),
    "budgets.set": lambda things: (Scope.AGENT, things.agent, Period.DAY, 1.0),
    "budgets.remove": lambda things: (Scope.AGENT, things.agent, Period.DAY),
    "audit.search": lambda _: (),
    "audit.verify": lambda _: (),
    "audit.export": lambda _: ("csv", len),
    "accounts.create": lambda _: ("friend@example.org", PASSWORD, "viewer"),
    "accounts.list": lambda _: (),
    "accounts.me": lambda _: (),
    "accounts.change": lambda _: ("Wrong-Passw0rd",),
    "accounts.set_role": lambda things: (things.user, "viewer"),
    "accounts.disable": lambda things: (things.user,),
    "access.issue": lambda things: ("editor", 1, things.user),
    "access.issued": lambda _: (),
    "access.revoke": lambda things: (things.grant,),
}
DECIDES = "runs.decide"  # it has a keyword
# By what the thing is found that these name, which is not their own operation.
FOUND_BY = {
    "tasks.submit": Operation.AGENT_READ,
    "runs.start": Operation.WORKFLOW_READ,
    "workflows.save": Operation.RUN_READ,
    "budgets.set": Operation.AGENT_READ,
    "budgets.remove": Operation.AGENT_READ,
}
NAMES_ANOTHERS = [name for name, arguments in CALLS.items() if arguments(Things()) != arguments(Things(*"abcdef"))]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Front]:
    async with (
        simulated_providers() as providers,
        shared_app(providers, tmp_path_factory.mktemp("home"), new_database, concurrency=0) as app,
    ):
        fast = front(app)
        app.accounts, app.access = fast.accounts, fast.access
        yield fast


async def call(desk: Front, name: str, who: Principal, things: Things) -> None:
    service, method = name.split(".")
    if name == DECIDES:
        await desk.app.runs.decide(who, things.run, "ok", How.TERMINAL, approve=True)
    else:
        await getattr(getattr(desk.app, service), method)(who, *CALLS[name](things))


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
    async with desk.database.read() as tx:
        theirs = (audit_logs.c.owner_id == who.user_id, audit_logs.c.action == "refused")
        query = sa.select(audit_logs.c.subject).where(*theirs).order_by(audit_logs.c.sequence)
        return list(await tx.scalars(query))


async def owned(desk: Front, owner: Principal) -> Things:
    app = desk.app
    agent = await app.agents.create(owner, f"agent-{uuid4().hex}", AgentType.RESEARCHER, AgentConfig())
    task = await app.tasks.submit(owner, TaskRequest(prompt="A secret of theirs", agent=agent.id))
    saved = await app.workflows.save(owner, f"flow-{uuid4().hex}", ASKS)
    run = await app.runs.start(owner, RunRequest(workflow=saved.workflow.id, inputs={}))
    issued = await app.access.issue(owner, "theirs")
    return Things(agent.id, task.id, saved.workflow.id, run.id, owner.user_id, issued.grant.id)


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
    return [things.agent, things.task, things.workflow, things.run, things.user, things.grant]


def _reaches(role: Role, name: str, *, elsewhere: bool) -> bool:
    """Whether the role finds the owner's thing after all."""
    reach = roles.reach(role, FOUND_BY.get(name) or operations()[name].operation)
    return reach is Reach.INSTALLATION or (reach is Reach.ORGANISATION and not elsewhere)
