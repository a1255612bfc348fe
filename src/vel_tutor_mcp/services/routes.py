"""Route decisions: gathers what the pure policy needs. Nothing here makes a call or costs anything."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vel_tutor_mcp import __version__
from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import AgentConfig, Decision, NanoUsd, Policy, Principal, Task, TaskType
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.estimate import Estimates
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Breaker, BreakerState, Health
from vel_tutor_mcp.routing.ledger import Prices, estimated_tokens, nano_usd, prompt_bytes
from vel_tutor_mcp.routing.lines import as_catalogued
from vel_tutor_mcp.routing.pace import Pace
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.warmth import Warmth, beginnings
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.asking import composed
from vel_tutor_mcp.services.integrations import line_of, obstacle_of
from vel_tutor_mcp.services.lookup import agent_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.provider_reports import Doing, shown_providers
from vel_tutor_mcp.services.reports import shown_usd
from vel_tutor_mcp.store import breakers, budgets, evidence, integrations
from vel_tutor_mcp.store.audit_chain import canonical
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.integrations import Integration, Status
from vel_tutor_mcp.store.standing import available

if TYPE_CHECKING:
    import numpy as np


class Routes:
    """Decides which models would answer. `configured` are the providers that can be called.

    `exploration` is the share of tasks that may learn, drawn from `chance`; without that, none. `learned`: whether
    prompts are read by the learned weights, or by the rules alone. `of_day` is the installation's own limit for a day
    of its organisation.
    """

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        prices: Prices,
        health: Health,
        configured: frozenset[str],
        *,
        allow_unpriced: bool,
        learned: bool = True,
        exploration: float = 0.0,
        chance: "np.random.Generator | None" = None,
        pace: Pace | None = None,
        warmth: Warmth | None = None,
        estimates: Callable[[], Estimates] = Estimates,
        of_day: NanoUsd | None = None,
    ) -> None:
        self.configured = configured
        self._database = database
        self._catalog = catalog
        self._prices = prices
        self._health = health
        self._allow_unpriced = allow_unpriced
        self._learned = learned
        self._exploration = exploration
        self._chance = chance
        self._pace = pace or Pace()
        self._warmth = warmth or Warmth()
        self._estimates = estimates
        self._of_day = of_day

    @allows(Operation.ROUTE_EXPLAIN)
    @unbroken
    async def explain(
        self, principal: Principal, prompt: str, agent: str, task_type: TaskType | None, policy: Policy | None
    ) -> Decision:
        """The decision that a task with this prompt would get now, unless it is one that explores.

        What open calls have set aside may come back, and a task would wait for it: it counts as left.

        Raises:
            NotFound: there is no such agent that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            found = await agent_of(tx, principal, agent)
            config = found.config
            if policy is not None:
                config = config.model_copy(update={"policy": policy})
            asked = self.request_of(prompt, config, task_type=task_type)
            request = await self.as_of_now(tx, principal, found.id, asked)
        return self.decide(request)

    async def as_of_now(
        self, tx: Transaction, principal: Principal, agent_id: str, request: RouteRequest
    ) -> RouteRequest:
        """The request, with what is left of the budgets that its task would be on, and what is known of the models."""
        payer = Payer(organisation_id=principal.organisation_id, owner_id=principal.user_id, agent_id=agent_id)
        standings = await budgets.standings(tx, payer, record.now(), self._of_day)
        request = replace(request, available=least(request.available, available(standings, at_best=True)))
        own = await integrations.of_owner(tx, principal.user_id)
        return await self.informed(tx, principal.organisation_id, request, own)

    @unbroken
    async def request_for(self, principal: Principal, prompt: str, config: AgentConfig) -> RouteRequest:
        """What is to be routed, with what is known of the models now."""
        async with self._database.read(principal.organisation_id) as tx:
            own = await integrations.of_owner(tx, principal.user_id)
            return await self.informed(tx, principal.organisation_id, self.request_of(prompt, config), own)

    def request_of(
        self,
        prompt: str,
        config: AgentConfig,
        *,
        task_type: TaskType | None = None,
        response_schema: dict[str, Any] | None = None,
        available: NanoUsd | None = None,
        sent: str | None = None,
    ) -> RouteRequest:
        """What is to be routed: this prompt, as an agent with this configuration would send it.

        `sent` is the prompt with its parameters, which say nothing of what is asked for. `available`, what is left of
        the task's budget, is the agent's budget per task where not given.
        """
        schema = response_schema or config.response_schema
        # Vendors may lay a schema out less densely than we do, so it counts twice.
        schemas = [canonical(schema)] * 2 if schema else []
        if available is None and config.budget_usd_per_task is not None:
            available = nano_usd(config.budget_usd_per_task)
        whole, now = prompt if sent is None else sent, time.time()
        size = prompt_bytes(config.system_prompt, whole, *schemas)
        seen = features(prompt, task_type, learned=self._learned)
        difficulty, learned = self._estimates().of(prompt, seen)
        return RouteRequest(
            features=seen.of_difficulty(difficulty),
            learned=learned,
            prompt_bytes=size,
            configured=self.configured,
            providers=config.providers,
            model_preferences=config.model_preferences,
            policy=config.policy,
            fallback=config.fallback,
            max_output_tokens=config.max_output_tokens,
            needs_json_schema=schema is not None,
            available=available,
            allow_unpriced=self._allow_unpriced,
            exploration=self._exploration,
            warm=self._warmth.cached(beginnings(config.system_prompt, whole), now),
            delays=self._pace.delays(estimated_tokens(size) + config.max_output_tokens, now),
        )

    def request_of_task(self, task: Task, config: AgentConfig, available: NanoUsd | None = None) -> RouteRequest:
        return self.request_of(
            task.prompt,
            config,
            task_type=task.task_type,
            response_schema=task.response_schema,
            available=available,
            sent=composed(task),
        )

    async def informed(
        self, tx: Transaction, organisation_id: str, request: RouteRequest, own: Sequence[Integration]
    ) -> RouteRequest:
        """The request, with what the organisation's feedback says of the models, and the owner's own lines to them."""
        known = await evidence.of_type(tx, organisation_id, request.features.task_type)
        lines = _lines_of(own)
        # Whatever key the installation has of it: see `services.lines`.
        withheld = {row.provider: obstacle_of(row) for row in own if row.status is not Status.ACTIVE}
        return replace(
            request,
            evidence=known,
            configured=(request.configured | lines.keys()) - withheld.keys(),
            lines=lines,
            withheld=withheld,
            warm=as_catalogued(request.warm, lines),
            delays=as_catalogued(request.delays, lines),
        )

    def decide(self, request: RouteRequest) -> Decision:
        """The decision by what is known; the same every time."""
        return decide(request, self._catalog, self._prices, self._health, time.time())

    def decide_all_up(self, request: RouteRequest) -> Decision:
        """The decision by what is known, if every model were up, idle, and as fast as its row in the catalog says."""
        request = replace(request, warm={}, delays={})
        return decide(request, self._catalog, self._prices, Health(), time.time())

    def choose(self, request: RouteRequest) -> Decision:
        """The decision for a task, which may explore."""
        return decide(request, self._catalog, self._prices, self._health, time.time(), self._chance)

    @allows(Operation.ROUTE_EXPLAIN)
    @unbroken
    async def providers(self, principal: Principal) -> list[dict[str, Any]]:
        """Every provider, whether the principal's tasks can be asked of it, and how its models are doing."""
        async with self._database.read(principal.organisation_id) as tx:
            own = await integrations.of_owner(tx, principal.user_id)
            stored = {model: Breaker(**state) for model, state in (await breakers.load(tx)).items()}
        lines = _lines_of(own)
        configured = (self.configured | lines.keys()) - ({row.provider for row in own} - lines.keys())
        doing = Doing(self._health, stored, lines, time.time())
        return shown_providers(self._catalog, self._prices, configured, doing)

    def known_models(self) -> list[dict[str, Any]]:
        """Every model of the catalog, with what 1,000 tokens in and 1,000 out cost in US dollars (None: unknown)."""
        return [
            {
                "provider": row.provider,
                "model": row.model,
                "tier": row.tier,
                "context_window": row.context_window,
                "max_output_tokens": row.max_output_tokens,
                "capabilities": sorted(row.capabilities),
                "retired": row.retired,
                "configured": row.provider in self.configured,
                "usd_per_1000_in_1000_out": shown_usd(self._prices.cost(row, 1000, 1000)),
            }
            for row in self._catalog.models
        ]

    def health_status(self) -> dict[str, Any]:
        """What of the routing works now."""
        now = time.time()
        down = [
            row.name
            for row in self._catalog.models
            if self._health.state(row.provider, row.model, now) is not BreakerState.CLOSED
        ]
        return {
            "status": "ok" if self.configured else "no provider has a key",
            "version": __version__,
            "providers": sorted(self.configured),
            "circuits_open": down,
        }


def _lines_of(own: Sequence[Integration]) -> dict[str, str]:
    """An owner's own lines that are used, by provider."""
    return {row.provider: line_of(row) for row in own if row.status is Status.ACTIVE}


def least(*amounts: NanoUsd | None) -> NanoUsd | None:
    """The smallest; None stands for no limit."""
    return min((amount for amount in amounts if amount is not None), default=None)
