"""What the services can be asked for somebody, and how each is asked."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

from people import Front
from planted import OTHER_PASSWORD, PASSWORD, key
from pydantic import SecretStr

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.models import AgentConfig, AgentType, Policy, Principal, TaskRequest
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.alerts import raising
from vel_tutor_mcp.services.alerts.kinds import AlertKind, Key, Wrong
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.services.webhooks.hooks import Change
from vel_tutor_mcp.store import alerts
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.task_lists import TaskFilter
from vel_tutor_mcp.taskmaster.wishes import Wishes
from vel_tutor_mcp.workflows.model import How, RunRequest

# They are parts of operations that were allowed already.
WITHIN = {"tasks.cancel_pending_of", "routes.request_for", "routes.as_of_now"}
# They go around operations: who asks how often, and for the second time.
WITHIN |= {"rates.admit", "repeats.begin", "repeats.end", "repeats.forget"}


def operations() -> dict[str, Any]:
    """Each method that a door can call for a principal, by where the open product has it, such as `tasks.submit`."""
    found: dict[str, Any] = {}
    for field in fields(App):
        service = field.type
        if not isinstance(service, type) or not service.__module__.startswith("vel_tutor_mcp.services."):
            continue
        for name, method in inspect.getmembers(service, inspect.isfunction):
            takes = [parameter.annotation for parameter in inspect.signature(method).parameters.values()]
            if not name.startswith("_") and Principal in takes:
                found[f"{field.name}.{name}"] = method
    return found


NOWHERE = "917e6895-66c8-445f-b6d6-6f615c07879c"
MODELS = ("openai/gpt-4o-mini", "groq/openai/gpt-oss-20b")
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
    webhook: str = NOWHERE
    comparison: str = NOWHERE
    alert: str = NOWHERE


# The arguments of every operation, behind who asks: of things that they have, or of another's, or of none.
CALLS: Mapping[str, Callable[[Things], tuple[Any, ...]]] = {
    "rates.get": lambda things: ("user", things.user),
    "rates.set": lambda things: ("user", things.user, RateLimits(5)),
    "streams.read": lambda things: (things.task, 0),
    "changes.task": lambda things: (things.task, list),
    "changes.output": lambda things: (things.task, list),
    "changes.run": lambda things: (things.run, list),
    "changes.recent": lambda _: (list,),
    "changes.templates": lambda _: (list,),
    "changes.areas": lambda _: ("", 0),
    "measuring.look": lambda _: (),
    "tasks.submit": lambda things: (TaskRequest(prompt="Say hello", agent=things.agent),),
    "tasks.get": lambda things: (things.task,),
    "tasks.tell": lambda things: (things.task,),
    "tasks.list": lambda _: (),
    "tasks.export": lambda _: (TaskFilter(), "csv"),
    "tasks.follow": lambda things: (things.task, 0),
    "tasks.cancel": lambda things: (things.task,),
    "tasks.retry": lambda things: (things.task,),
    "tasks.rate": lambda things: (things.task, 5),
    "comparisons.start": lambda things: (ComparisonRequest(prompt="Say hello", models=MODELS, agent=things.agent),),
    "comparisons.tell": lambda things: (things.comparison,),
    "comparisons.list": lambda _: (),
    "comparisons.standings": lambda _: (),
    "runs.start": lambda things: (RunRequest(workflow=things.workflow, inputs={}),),
    "runs.get": lambda things: (things.run,),
    "runs.tell": lambda things: (things.run,),
    "runs.list": lambda _: (),
    "runs.follow": lambda things: (things.run, 0),
    "runs.find": lambda things: (things.run, 0),
    "runs.look": lambda things: (things.run,),
    "runs.stop": lambda things: (things.run,),
    "runs.awaiting": lambda _: (),
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
    "routes.providers": lambda _: (),
    "usage.report": lambda _: ("day", "provider"),
    "usage.series": lambda _: ("day", "provider"),
    "what_if.replay": lambda _: ("day", Policy.CHEAPEST),
    "budgets.list": lambda _: (),
    "budgets.set": lambda things: (Scope.AGENT, things.agent, Period.DAY, 1.0),
    "budgets.remove": lambda things: (Scope.AGENT, things.agent, Period.DAY),
    "alerts.list": lambda _: (),
    "alerts.acknowledge": lambda things: (things.alert,),
    "alerts.line": lambda _: (),
    "integrations.put": lambda _: ("nobody", None),
    "integrations.test": lambda _: ("nobody",),
    "integrations.get": lambda _: ("nobody",),
    "integrations.list": lambda _: (),
    "integrations.delete": lambda things: ("groq", things.user),
    "integrations.rotate": lambda _: (),
    "webhooks.create": lambda _: ("https://8.8.8.8/hook", ["task.completed"]),
    "webhooks.list": lambda _: (),
    "webhooks.get": lambda things: (things.webhook,),
    "webhooks.update": lambda things: (things.webhook, Change(description="theirs no more")),
    "webhooks.delete": lambda things: (things.webhook,),
    "webhooks.renew_secret": lambda things: (things.webhook,),
    "webhooks.test": lambda things: (things.webhook,),
    "webhooks.deliveries": lambda things: (things.webhook,),
    "webhooks.resend": lambda things: (things.webhook, NOWHERE),
    "audit.search": lambda _: (),
    "audit.verify": lambda _: (),
    "audit.export": lambda _: ("csv", len),
    "projects.list": lambda _: ("/nowhere",),
    "projects.get": lambda _: ("0123456789ab",),
    "projects.start": lambda things: ("/nowhere", Wishes(agent=things.agent)),
    "plans.start": lambda _: ("/nowhere", "analyze"),
    "completions.agents": lambda _: ("", 100),
    "completions.tasks": lambda _: ("", 100),
    "completions.runs": lambda _: ("", 100),
    "completions.workflows": lambda _: ("", 100),
    "completions.projects": lambda _: (),
    "accounts.create": lambda _: ("friend@example.org", PASSWORD, "viewer"),
    "accounts.list": lambda _: (),
    "accounts.me": lambda _: (),
    "accounts.change": lambda _: (OTHER_PASSWORD,),
    "accounts.set_role": lambda things: (things.user, "viewer"),
    "accounts.disable": lambda things: (things.user,),
    "accounts.enable": lambda things: (things.user,),
    "accounts.set_password": lambda things: (things.user, OTHER_PASSWORD),
    "accounts.link": lambda things: (things.user, "subject"),
    "access.issue": lambda things: ("editor", 1, things.user),
    "access.issued": lambda things: (things.user,),
    "access.revoke": lambda things: (things.grant,),
}
DECIDES = "runs.decide"  # it has a keyword


async def call(desk: Front, name: str, who: Principal, things: Things) -> Any:
    service, method = name.split(".")
    if name == DECIDES:
        return await desk.app.runs.decide(who, things.run, "ok", How.TERMINAL, approve=True)
    return await getattr(getattr(desk.app, service), method)(who, *CALLS[name](things))


async def owned(desk: Front, owner: Principal) -> Things:
    app = desk.app
    agent = await app.agents.create(owner, f"agent-{uuid4().hex}", AgentType.RESEARCHER, AgentConfig())
    task = await app.tasks.submit(owner, TaskRequest(prompt="A secret of theirs", agent=agent.id))
    saved = await app.workflows.save(owner, f"flow-{uuid4().hex}", ASKS)
    run = await app.runs.start(owner, RunRequest(workflow=saved.workflow.id, inputs={}))
    request = ComparisonRequest(prompt="A secret of theirs", models=MODELS, agent=agent.id)
    comparison = await app.comparisons.start(owner, request)
    issued = await app.access.issue(owner, "theirs")
    await app.integrations.put(owner, "groq", SecretStr(key("gsk")))
    webhook, _ = await app.webhooks.create(owner, "https://8.8.8.8/hook", ["task.completed"])
    ids = (agent.id, task.id, saved.workflow.id, run.id, owner.user_id, issued.grant.id, webhook.id, comparison.id)
    return Things(*ids, await _alert(desk, owner))


async def _alert(desk: Front, owner: Principal) -> str:
    """The id of an alert of a budget of theirs."""
    key = Key(AlertKind.BUDGET, uuid4().hex)
    wrong = Wrong(key=key, about="a budget", message="A secret of theirs", value=1, threshold=0.8)
    async with desk.database.write(owner.organisation_id) as tx:
        await raising.report(tx, owner, owner.user_id, wrong, record.now())
        found = await alerts.find_open(tx, owner.organisation_id, *key)
    assert found is not None
    return found.id
