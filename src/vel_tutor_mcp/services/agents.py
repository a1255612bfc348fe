"""Agents: save, change with every version kept, delete softly, and test whether one can work."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.models import (
    Agent,
    AgentConfig,
    AgentStatus,
    AgentType,
    Decision,
    NanoUsd,
    Page,
    Principal,
    Start,
    TaskRequest,
    TaskStatus,
)
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.schemas import check_schema
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.following import MAX_WAIT_SECONDS
from vel_tutor_mcp.services.inputs import check_budget, check_text, merged
from vel_tutor_mcp.services.lookup import agent_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.record import Aftermath
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.store import agents, audit
from vel_tutor_mcp.store.database import Database, Transaction, unbroken

DEFAULT_AGENT = "default"
_MAX_NAME_CHARACTERS = 100

Check = tuple[str, bool, str]
"""What was looked at, whether it is well, and in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTest:
    """What a test found: `told` is the task of a live call."""

    agent: Agent
    checks: tuple[Check, ...]
    decision: Decision
    estimated_tokens_in: int
    estimated_cost_nanousd: NanoUsd | None
    told: Told | None

    @property
    def ok(self) -> bool:
        return all(passed for _, passed, _ in self.checks)


class Agents:
    """What the product does with agents, for every door."""

    def __init__(
        self, database: Database, catalog: Catalog, routes: Routes, tasks: Tasks, conductor: Conductor
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._routes = routes
        self._tasks = tasks
        self._conductor = conductor

    @allows(Operation.AGENT_WRITE)
    @unbroken
    async def create(self, principal: Principal, name: str, agent_type: AgentType, config: AgentConfig) -> Agent:
        """Save a new agent.

        Raises:
            Conflict: the name is taken. InputError: the configuration names what is not in the catalog.
        """
        self._check(name, config)
        async with self._database.write(principal.organisation_id) as tx:
            await _refuse_taken(tx, principal, name)
            return await insert(tx, principal, name, agent_type, config)

    @allows(Operation.AGENT_READ)
    @unbroken
    async def list(
        self, principal: Principal, *, status: AgentStatus | None = None, limit: int = 20, cursor: Start = None
    ) -> Page[Agent]:
        async with self._database.read(principal.organisation_id) as tx:
            return await agents.page(tx, principal, status, limit, cursor)

    @allows(Operation.AGENT_READ)
    @unbroken
    async def get(self, principal: Principal, id_or_name: str) -> tuple[Agent, dict[int, datetime]]:
        """The agent, and when each of its versions was made.

        Raises:
            NotFound: there is none of this id or name that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            agent = await agent_of(tx, principal, id_or_name)
            return agent, await agents.versions(tx, agent.id)

    @allows(Operation.AGENT_WRITE)
    @unbroken
    async def update(
        self,
        principal: Principal,
        id_or_name: str,
        *,
        name: str | None = None,
        status: AgentStatus | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Agent:
        """Change what is given; `config` holds just the fields to change, and makes a new version.

        Raises:
            NotFound: no such agent. Conflict: the name is taken. InputError: the changed configuration is not valid.
        """
        check_text("name", name)
        async with self._database.write(principal.organisation_id) as tx:
            agent = await agent_of(tx, principal, id_or_name)
            changed = merged(agent.config, config or {})
            if name is not None and name != agent.name:
                _refuse_renaming_default(agent)
                await _refuse_taken(tx, principal, name)
            new = replace(
                agent,
                name=name or agent.name,
                status=status or agent.status,
                config=changed,
                version=agent.version + (changed != agent.config),
                updated_at=record.now(),
            )
            self._check(new.name, changed)
            await agents.update(tx, new)
            payload = {
                "name": new.name,
                "version": new.version,
                "status": new.status.value,
                "changed": sorted(config or {}),
            }
            await audit.append(tx, principal, "agent_updated", f"agent:{agent.id}", payload, new.updated_at)
        return new

    @allows(Operation.AGENT_WRITE)
    @unbroken
    async def delete(self, principal: Principal, id_or_name: str) -> tuple[Agent, int]:
        """Take the agent away, keeping what it did; returns it and how many pending tasks were cancelled with it.

        Raises:
            NotFound: no such agent. Conflict: it is the default one.
        """
        after = Aftermath()
        async with self._database.write(principal.organisation_id) as tx:
            agent = await agent_of(tx, principal, id_or_name)
            if agent.name == DEFAULT_AGENT:
                raise Conflict(
                    f"The agent {DEFAULT_AGENT} stays; tasks without an agent go to it; change it with agent_update."
                )
            at = record.now()
            await agents.delete(tx, agent.id, at)
            cancelled = await self._tasks.cancel_pending_of(tx, principal, agent, after)
            payload = {"name": agent.name, "cancelled_tasks": cancelled}
            await audit.append(tx, principal, "agent_deleted", f"agent:{agent.id}", payload, at)
        self._conductor.follow_up(after)
        return agent, cancelled

    @allows(Operation.AGENT_READ)
    async def test(self, principal: Principal, id_or_name: str, prompt: str, *, live: bool = False) -> AgentTest:
        """Look whether the agent could do the prompt; free, unless `live`, which runs it as a task.

        Raises:
            NotFound: no such agent. Conflict: a live test of an agent that is not active.
        """
        agent, _ = await self.get(principal, id_or_name)
        request = await self._routes.request_for(principal, prompt, agent.config)
        decision = self._routes.decide(request)
        checks = [*self._configuration_checks(agent, request.configured), _route_check(decision)]
        # Without a candidate it could only fail.
        told = await self._live(principal, agent, prompt) if live and decision.candidates else None
        if told is not None:
            checks.append(_live_check(told))
        first = decision.candidates[0] if decision.candidates else None
        return AgentTest(
            agent=agent,
            checks=tuple(checks),
            decision=decision,
            estimated_tokens_in=request.features.tokens_in,
            estimated_cost_nanousd=first.expected_cost_nanousd if first else None,
            told=told,
        )

    async def _live(self, principal: Principal, agent: Agent, prompt: str) -> Told:
        task = await self._tasks.submit(principal, TaskRequest(prompt=prompt, agent=agent.id))
        return await self._tasks.follow(principal, task.id, MAX_WAIT_SECONDS)

    def _configuration_checks(self, agent: Agent, configured: Collection[str]) -> Sequence[Check]:
        try:
            self._check(agent.name, agent.config)
            valid = ("configuration", True, f"version {agent.version} is valid")
        except InputError as problem:
            valid = ("configuration", False, str(problem))
        active = agent.status is AgentStatus.ACTIVE
        keys = ", ".join(sorted(configured)) or "none"
        return [
            valid,
            (
                "status",
                active,
                agent.status.value if active else f"{agent.status.value}: activate it with agent_update",
            ),
            ("keys", bool(configured), f"providers with a key: {keys}"),
        ]

    def _check(self, name: str, config: AgentConfig) -> None:
        if not name.strip() or len(name) > _MAX_NAME_CHARACTERS:
            raise InputError(
                f"The name is out of bounds; it has 1 to {_MAX_NAME_CHARACTERS} characters; choose another."
            )
        check_text("name", name)
        check_text("system_prompt", config.system_prompt)
        check_budget("budget_usd_per_task", config.budget_usd_per_task)
        for provider in config.providers:
            self._catalog.provider(provider)
        for model in config.model_preferences.values():
            self._catalog.find(model)
        check_schema(config.response_schema)


async def insert(tx: Transaction, principal: Principal, name: str, agent_type: AgentType, config: AgentConfig) -> Agent:
    """Store a new active agent of version 1, with its audit entry."""
    at = record.now()
    agent = Agent(
        id=str(uuid4()),
        owner_id=principal.user_id,
        organisation_id=principal.organisation_id,
        name=name,
        type=agent_type,
        status=AgentStatus.ACTIVE,
        config=config,
        version=1,
        created_at=at,
        updated_at=at,
    )
    await agents.insert(tx, agent)
    await audit.append(tx, principal, "agent_created", f"agent:{agent.id}", {"name": name}, at)
    return agent


async def ensure_default(tx: Transaction, principal: Principal) -> None:
    """The agent that tasks without one go to, made at the first start."""
    if not await agents.name_taken(tx, principal, DEFAULT_AGENT):
        await insert(tx, principal, DEFAULT_AGENT, AgentType.MCP_ORCHESTRATOR, AgentConfig())


async def _refuse_taken(tx: Transaction, principal: Principal, name: str) -> None:
    if await agents.name_taken(tx, principal, name):
        raise Conflict(
            "You have an agent of this name already; names are unique; choose another, or change the agent with "
            "agent_update."
        )


def _refuse_renaming_default(agent: Agent) -> None:
    if agent.name == DEFAULT_AGENT:
        raise Conflict(
            f"The agent {DEFAULT_AGENT} keeps its name; tasks without an agent go to it; create another one."
        )


def _route_check(decision: Decision) -> Check:
    if not decision.candidates:
        return ("route", False, "no model can take this prompt; see `excluded` for why")
    return ("route", True, " -> ".join(candidate.name for candidate in decision.candidates))


def _live_check(told: Told) -> Check:
    task = told.task
    detail = f"task {task.id}: {task.error.message if task.error else task.status.value}"
    return ("live call", task.status is TaskStatus.COMPLETED, detail)
