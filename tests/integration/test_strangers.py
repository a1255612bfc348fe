"""Another's ids on every route, tool, resource and stream: each is answered as what does not exist, and every refusal
is on record once. What there is is read from the published lists, so that nothing new is left out.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp import MCPError
from mcp.server.auth.middleware.auth_context import auth_context_var
from operations import MODELS, owned
from people import Front, alone
from stores import NewDatabase
from world import connected

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.doors.bearer import SignedIn
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gate import Gate
from vel_tutor_mcp.doors.http import make_app
from vel_tutor_mcp.doors.mcp import make_server

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:4000"
NOWHERE = "917e6895-66c8-445f-b6d6-6f615c07879c"
ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Go on?"}]}
OF_AGENT = {"steps": [{"id": "a", "kind": "task", "agent": "{agent}", "prompt": "Say hello"}]}
OF_RUN = {"run": "{run}"}
SAVES = {"name": "x"}
BUDGET = {"scope": "agent", "subject": "{agent}", "period": "day"}


@dataclass(frozen=True)
class Theirs:
    """One thing of each kind, of one owner."""

    agent: str
    task: str
    workflow: str
    run: str
    user: str
    token: str
    organisation: str
    webhook: str
    comparison: str
    alert: str


def nowhere() -> Theirs:
    return Theirs(*(str(uuid4()) for _ in range(10)))


Way = Mapping[str, Any]
"""What a request sends beside its path, or a tool's arguments: `{task}` stands for the id of their task."""

PLAIN: tuple[Way, ...] = ({},)
NAMES_NOTHING: tuple[Way, ...] = ()

# Every route with the ways to name something of somebody's there.
ROUTES: Mapping[str, tuple[Way, ...]] = {
    "GET /api/health": NAMES_NOTHING,
    "POST /api/auth/login": NAMES_NOTHING,
    "POST /api/auth/refresh": NAMES_NOTHING,
    "POST /api/auth/logout": NAMES_NOTHING,
    "GET /api/users/me": NAMES_NOTHING,
    "PUT /api/users/me": NAMES_NOTHING,
    "POST /api/users": NAMES_NOTHING,  # an organisation's name: see OF_ADMINS
    "GET /api/users": NAMES_NOTHING,
    "PUT /api/users/{user}/role": ({"json": {"role": "viewer"}},),
    "DELETE /api/users/{user}": PLAIN,
    "POST /api/users/{user}/enable": PLAIN,
    "GET /api/users/{user}/rate-limits": PLAIN,
    "PUT /api/users/{user}/rate-limits": NAMES_NOTHING,
    "DELETE /api/users/{user}/rate-limits": NAMES_NOTHING,
    "GET /api/organisations/{organisation}/rate-limits": PLAIN,
    "PUT /api/organisations/{organisation}/rate-limits": NAMES_NOTHING,
    "DELETE /api/organisations/{organisation}/rate-limits": NAMES_NOTHING,
    "POST /api/agents": NAMES_NOTHING,
    "GET /api/agents": NAMES_NOTHING,
    "GET /api/agents/{agent}": PLAIN,
    "PUT /api/agents/{agent}": ({"json": {"name": "stolen"}},),
    "DELETE /api/agents/{agent}": PLAIN,
    "POST /api/agents/{agent}/test": ({"json": {}},),
    "POST /api/tasks": ({"json": {"prompt": "x", "agent": "{agent}"}},),
    "GET /api/tasks": ({"params": {"agent_id": "{agent}"}},),
    "GET /api/tasks/export": ({"params": {"agent_id": "{agent}"}},),
    "GET /api/tasks/{task}": PLAIN,
    "GET /api/tasks/{task}/stream": PLAIN,
    "POST /api/tasks/{task}/cancel": PLAIN,
    "POST /api/tasks/{task}/retry": PLAIN,
    "POST /api/tasks/{task}/rate": ({"json": {"rating": 1}},),
    "POST /api/workflows": ({"json": SAVES | {"definition": OF_AGENT}}, {"json": SAVES | {"definition": OF_RUN}}),
    "GET /api/workflows": NAMES_NOTHING,
    "GET /api/workflows/{workflow}": PLAIN,
    "POST /api/workflows/{workflow}/runs": ({"json": {}},),
    "GET /api/runs": ({"params": {"workflow": "{workflow}"}},),
    "GET /api/runs/{run}": PLAIN,
    "GET /api/approvals": NAMES_NOTHING,
    "POST /api/runs/{run}/cancel": PLAIN,
    "POST /api/runs/{run}/retry": ({"json": {}},),
    "POST /api/runs/{run}/steps/{step}/decision": ({"json": {"approve": True}},),
    "GET /api/providers": NAMES_NOTHING,
    "GET /api/changes": NAMES_NOTHING,
    "GET /api/audit": NAMES_NOTHING,
    "GET /api/audit/verify": NAMES_NOTHING,
    "GET /api/audit/export": NAMES_NOTHING,
    "GET /api/usage": NAMES_NOTHING,
    "GET /api/usage/series": NAMES_NOTHING,
    "GET /api/usage/export": NAMES_NOTHING,
    "GET /api/budgets": NAMES_NOTHING,
    "PUT /api/budgets": ({"json": BUDGET | {"limit_usd": 1}},),
    "DELETE /api/budgets": ({"params": BUDGET},),
    "GET /api/integrations": NAMES_NOTHING,
    "POST /api/integrations/rotate": NAMES_NOTHING,
    "GET /api/integrations/{provider}": NAMES_NOTHING,
    "PUT /api/integrations/{provider}": NAMES_NOTHING,
    "DELETE /api/integrations/{provider}": ({"params": {"owner_id": "{user}"}},),
    "POST /api/integrations/{provider}/test": NAMES_NOTHING,
    "POST /api/comparisons": ({"json": {"prompt": "x", "models": list(MODELS), "agent": "{agent}"}},),
    "GET /api/comparisons": NAMES_NOTHING,
    "GET /api/comparisons/standings": NAMES_NOTHING,
    "GET /api/comparisons/{comparison}": PLAIN,
    "GET /api/alerts": NAMES_NOTHING,
    "POST /api/alerts/{alert}/acknowledge": PLAIN,
    "POST /api/webhooks": NAMES_NOTHING,
    "GET /api/webhooks": NAMES_NOTHING,
    "GET /api/webhooks/{webhook}": PLAIN,
    "PUT /api/webhooks/{webhook}": ({"json": {"description": "stolen"}},),
    "DELETE /api/webhooks/{webhook}": PLAIN,
    "POST /api/webhooks/{webhook}/test": PLAIN,
    "POST /api/webhooks/{webhook}/secret": PLAIN,
    "GET /api/webhooks/{webhook}/deliveries": PLAIN,
    "POST /api/webhooks/{webhook}/deliveries/{delivery}/resend": PLAIN,
    "POST /api/tokens": ({"json": {"name": "x", "user": "{user}"}},),
    "GET /api/tokens": ({"params": {"user": "{user}"}},),
    "DELETE /api/tokens/{token}": PLAIN,
    "POST /v1/chat/completions": ({"json": {"model": "{agent}", "messages": [{"role": "user", "content": "x"}]}},),
    "GET /v1/models": NAMES_NOTHING,
}
# For administrators of the installation: refused whomever it is of.
OF_ADMINS: Mapping[str, Way] = {
    "POST /api/users": {
        "json": {"email": "x@example.org", "password": "Planted-Passw0rd-1", "role": "viewer", "organisation": "theirs"}
    },
    "PUT /api/users/{user}/rate-limits": {"json": {}},
    "DELETE /api/users/{user}/rate-limits": {},
    "PUT /api/organisations/{organisation}/rate-limits": {"json": {}},
    "DELETE /api/organisations/{organisation}/rate-limits": {},
    "POST /api/integrations/rotate": {},
}
# Asked for a thing by a filter, they give what there is of it for this caller: nothing.
FILTERS: Mapping[str, Way] = {
    "GET /api/audit": {"subject": "task:{task}"},
    "GET /api/audit/export": {"action": "task_submitted"},  # its header repeats a subject that is asked for
}
TOOLS: Mapping[str, tuple[Way, ...]] = {
    "agent_create": NAMES_NOTHING,
    "agent_delete": ({"agent": "{agent}"},),
    "agent_get": ({"agent": "{agent}"},),
    "agent_list": NAMES_NOTHING,
    "agent_test": ({"agent": "{agent}"},),
    "agent_update": ({"agent": "{agent}", "name": "stolen"},),
    "audit_search": NAMES_NOTHING,
    "audit_verify": NAMES_NOTHING,
    "dashboard_data": ({"path": "/api/tasks/{task}"}, {"path": "/api/runs/{run}"}, {"path": "/api/agents/{agent}"}),
    "dashboard_show": NAMES_NOTHING,
    "route_explain": ({"prompt": "x", "agent": "{agent}"},),
    "task_cancel": ({"id": "{task}"}, {"id": "{run}"}),
    "task_get": ({"id": "{task}"},),
    "task_list": ({"agent": "{agent}"},),
    "task_rate": ({"id": "{task}", "rating": 1},),
    "task_retry": ({"id": "{task}"},),
    "task_submit": ({"prompt": "x", "agent": "{agent}", "wait_seconds": 0},),
    "usage_report": NAMES_NOTHING,
    "workflow_decide": ({"run": "{run}", "step": "ok", "approve": True},),
    "workflow_get": ({"id": "{run}"}, {"id": "{workflow}"}),
    "workflow_retry": ({"run": "{run}"},),
    "workflow_run": ({"workflow": "{workflow}", "wait_seconds": 0},),
    "workflow_save": (SAVES | {"definition": OF_AGENT}, SAVES | {"definition": OF_RUN}),
}
LISTING = (
    *("agent_list", "task_list", "workflow_get", "usage_report", "audit_search", "audit_verify", "dashboard_show"),
)
# Whose thing the `{id}` of a resource is; None where it is nobody's.
RESOURCES = {
    "agents://list": None,
    "audit://recent": None,
    "ui://vel-tutor/dashboard.html": None,
    "health://status": None,
    "models://catalog": None,
    "tasks://recent": None,
    "usage://summary": None,
    "guide://{topic}": None,
    "agent://{id}": "agent",
    "run://{id}": "run",
    "task://{id}": "task",
    "task://{id}/output": "task",
    "workflow://{id}": "workflow",
}


@dataclass(frozen=True)
class Stranger:
    """An administrator of another organisation: no member may do more, and nothing of theirs is to be seen."""

    desk: Front
    account: Account
    http: httpx2.AsyncClient
    token: str

    async def refusals(self) -> list[str]:
        """The subjects of what was refused to them, newest first."""
        found = await self.desk.app.audit.search(self.account.principal, action="refused", limit=100)
        return [entry.subject for entry in found.rows]

    async def asks(self, route: str, way: Way, things: Theirs) -> httpx2.Response:
        method, path = filled(route, things).split(" ")
        return await self.http.request(method, path, **filled(way, things))


def filled(template: Any, things: Theirs) -> Any:
    """The template with the ids of these things."""
    if isinstance(template, Mapping):
        return {name: filled(value, things) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, things) for value in template]
    if isinstance(template, str):
        for name, value in (asdict(things) | {"step": "ok", "provider": "groq", "delivery": NOWHERE}).items():
            template = template.replace(f"{{{name}}}", value)
    return template


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Front]:
    async with alone(tmp_path_factory.mktemp("home"), new_database) as desk:
        yield desk


@pytest.fixture(scope="module")
async def theirs(desk: Front) -> Theirs:
    me = (await desk.join("task_executor", "theirs")).principal
    have = await owned(desk, me)
    ids = (have.agent, have.task, have.workflow, have.run, have.user, have.grant, me.organisation_id)
    return Theirs(*ids, have.webhook, have.comparison, have.alert)


@pytest.fixture
async def stranger(desk: Front) -> AsyncIterator[Stranger]:
    account = await desk.join("org_admin", f"strangers {uuid4()}")
    token = (await desk.enter(account)).token
    inside = Desk(local=False)
    inside.opened(desk.app)
    transport = httpx2.ASGITransport(Gate(make_app(make_server(inside), inside, "http", public_url=URL), ()))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(transport=transport, base_url=URL, headers=headers) as http:
        yield Stranger(desk, account, http, token)


def told(reply: httpx2.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()["error"]


def shows(text: str, theirs: Theirs) -> list[str]:
    return [name for name, value in asdict(theirs).items() if value in text]


async def test_every_route_is_tried(stranger: Stranger) -> None:
    paths = (await stranger.http.get("/api/openapi.json")).json()["paths"]
    there = {f"{method.upper()} {path}": row for path, rows in paths.items() for method, row in rows.items()}
    assert ROUTES.keys() == there.keys()
    named = {route for route, ways in ROUTES.items() if ways} | OF_ADMINS.keys()
    ids = {route for route in there if "{" in route and "{provider}" not in route}
    assert ids <= named


async def test_on_no_route_is_there_what_is_anothers_and_asking_for_it_is_on_record(
    stranger: Stranger, theirs: Theirs
) -> None:
    tried = 0
    for route, ways in ROUTES.items():
        for way in ways:
            reply = await stranger.asks(route, way, theirs)
            assert (route, *told(reply)) == (route, *told(await stranger.asks(route, way, nowhere())))
            assert (route, reply.status_code) == (route, 404)
            refused = await stranger.refusals()
            assert (route, len(refused)) == (route, tried := tried + 1)
            assert refused[0].partition(":")[2] in asdict(theirs).values()
    assert tried > 30


async def test_what_is_for_administrators_of_all_is_refused_and_on_record(stranger: Stranger, theirs: Theirs) -> None:
    for tried, (route, way) in enumerate(OF_ADMINS.items(), 1):
        assert (route, (await stranger.asks(route, way, theirs)).status_code) == (route, 403)
        assert await stranger.refusals() == [f"user:{stranger.account.id}"] * tried


async def test_nothing_of_anothers_is_in_what_routes_list(stranger: Stranger, theirs: Theirs) -> None:
    reads = [route for route, ways in ROUTES.items() if route.startswith("GET") and not ways and "{" not in route]
    assert len(reads) >= 12
    for route, params in [*((route, {}) for route in reads), *FILTERS.items()]:
        reply = await stranger.asks(route, {"params": params}, theirs)
        assert (route, reply.status_code, shows(reply.text, theirs)) == (route, 200, [])


async def test_what_the_checks_found_on_the_machine_is_told_to_its_admins_alone(
    desk: Front, stranger: Stranger
) -> None:
    auth_context_var.set(SignedIn(await desk.access.verify(stranger.token), URL))
    async with connected(desk.app, "auto") as client:
        (content,) = (await client.read_resource("health://status")).contents
    checks = json.loads(content.text)["checks"]  # type: ignore[union-attr]  # it is text
    assert {check["check"] for check in checks} >= {"database", "home folder", "traces"}
    assert all(check.keys() == {"check", "verdict"} for check in checks)


async def test_no_tool_or_resource_lists_what_is_anothers(desk: Front, stranger: Stranger, theirs: Theirs) -> None:
    auth_context_var.set(SignedIn(await desk.access.verify(stranger.token), URL))  # each test has a context of its own
    async with connected(desk.app, "auto") as client:
        listed = {str(row.uri) for row in (await client.list_resources()).resources}
        templates = {row.uri_template for row in (await client.list_resource_templates()).resource_templates}
        assert listed | templates == RESOURCES.keys()
        for uri in listed:
            assert (uri, shows((await client.read_resource(uri)).model_dump_json(), theirs)) == (uri, [])
        for name in LISTING:
            result = await client.call_tool(name, {})
            assert (name, result.is_error, shows(result.model_dump_json(), theirs)) == (name, False, [])


async def test_no_tool_finds_what_is_anothers_and_asking_for_it_is_on_record(
    desk: Front, stranger: Stranger, theirs: Theirs
) -> None:
    auth_context_var.set(SignedIn(await desk.access.verify(stranger.token), URL))
    tried = 0
    async with connected(desk.app, "auto") as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS.keys()
        for name, way in [(name, way) for name, ways in TOOLS.items() for way in ways]:
            of_theirs, of_nothing = [
                await client.call_tool(name, filled(way, things)) for things in (theirs, nowhere())
            ]
            assert (name, of_theirs.is_error, of_theirs.content) == (name, True, of_nothing.content)
            refused = await stranger.refusals()
            assert (name, len(refused)) == (name, tried := tried + 1)
            assert refused[0].partition(":")[2] in asdict(theirs).values()
    assert tried >= 19


async def test_what_the_dashboard_asks_through_its_tool_is_what_rest_answers_or_closed(
    desk: Front, stranger: Stranger
) -> None:
    auth_context_var.set(SignedIn(await desk.access.verify(stranger.token), URL))
    reads = [path for method, path in map(str.split, ROUTES) if method == "GET" and "{" not in path]
    closed = set[str]()
    async with connected(desk.app, "auto") as client:
        for path in reads:
            answer = (await client.call_tool("dashboard_data", {"path": path})).structured_content or {}
            if "not for the dashboard" in str(answer):
                closed.add(path)
                continue
            rest = (await stranger.http.get(path)).json()
            assert (path, steady(answer)) == (path, steady(rest))
    assert closed == {path for path in reads if path.endswith("/export") or path.startswith("/v1/")}


async def test_a_viewer_is_shown_the_dashboard_with_nothing_to_decide(desk: Front) -> None:
    token = (await desk.enter(await desk.join("viewer", "theirs"))).token
    auth_context_var.set(SignedIn(await desk.access.verify(token), URL))
    async with connected(desk.app, "auto") as client:
        shown = (await client.call_tool("dashboard_show", {})).structured_content or {}
    assert (shown["approvals_waiting"], shown["approvals"], shown["view"]) == (0, [], "tasks")


def steady(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What does not change from one answer to the next."""
    return {name: value for name, value in answer.items() if name not in {"timestamp", "uptime", "since", "until"}}


async def test_no_resource_is_of_what_is_anothers_and_asking_for_it_is_on_record(
    desk: Front, stranger: Stranger, theirs: Theirs
) -> None:
    auth_context_var.set(SignedIn(await desk.access.verify(stranger.token), URL))
    tried = list[str]()
    async with connected(desk.app, "auto") as client:
        for uri, kind in [(uri, kind) for uri, kind in RESOURCES.items() if kind]:
            with pytest.raises(MCPError, match=f"no such {kind}"):
                await client.read_resource(uri.replace("{id}", asdict(theirs)[kind]))
            tried.insert(0, f"{kind}:{asdict(theirs)[kind]}")
            assert (uri, await stranger.refusals()) == (uri, tried)
