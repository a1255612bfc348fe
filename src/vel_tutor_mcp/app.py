"""The one place of wiring: `async with open_app(settings) as app`, or its two halves where a loop is already busy.

`prepare` blocks and may run in any thread: files, migrations, connections. `Prepared.launch` belongs on the loop that
will run the work.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vel_tutor_mcp import parts
from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.execution.liveness import lease_on
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.routing import task_types
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.estimate import Estimates, estimates
from vel_tutor_mcp.routing.health import Breaker, Health
from vel_tutor_mcp.routing.hedge import Hedging
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.routing.pace import Pace
from vel_tutor_mcp.routing.router import Router
from vel_tutor_mcp.routing.vendors import providers_of
from vel_tutor_mcp.routing.warmth import Warmth
from vel_tutor_mcp.services import funds, record
from vel_tutor_mcp.services.access import Access
from vel_tutor_mcp.services.accounts import Accounts
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.agents import Agents, ensure_default
from vel_tutor_mcp.services.alerts.service import Alerts
from vel_tutor_mcp.services.alerts.watch import Watch
from vel_tutor_mcp.services.answers import Answers
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.trail import Audit
from vel_tutor_mcp.services.booking import Tools
from vel_tutor_mcp.services.bridge import Bridge
from vel_tutor_mcp.services.budgets import Budgets
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.care import Care
from vel_tutor_mcp.services.changes import Changes
from vel_tutor_mcp.services.comparisons.comparing import Comparisons
from vel_tutor_mcp.services.completions import Completions
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.doctor.standing import Standing
from vel_tutor_mcp.services.following import Following
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.integrations import Integrations
from vel_tutor_mcp.services.lines import Lines
from vel_tutor_mcp.services.local_models import with_local_models
from vel_tutor_mcp.services.measuring import Measuring
from vel_tutor_mcp.services.oauth import OAuth
from vel_tutor_mcp.services.planner import Gateway, Planner
from vel_tutor_mcp.services.plans import Plans
from vel_tutor_mcp.services.projects import Projects
from vel_tutor_mcp.services.rates import Rates
from vel_tutor_mcp.services.repeats import Repeats
from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.runs import Runs
from vel_tutor_mcp.services.streams import Streams
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.services.usage import Usage
from vel_tutor_mcp.services.webhooks.hooks import Webhooks
from vel_tutor_mcp.services.what_if import WhatIf
from vel_tutor_mcp.services.wire import Ears, wire_on
from vel_tutor_mcp.services.workflows import Workflows, ensure_templates
from vel_tutor_mcp.settings import Settings, user_name
from vel_tutor_mcp.store import breakers, people, schema
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.taskmaster.benches import Benches
from vel_tutor_mcp.taskmaster.children import Children
from vel_tutor_mcp.tracing import starting

if TYPE_CHECKING:
    import numpy as np

_LOOPS_END_SECONDS = 2.0
_LAST_LOOK_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class App:
    """The product, open: what every door calls."""

    local_principal: Principal
    accounts: Accounts
    access: Access
    oauth: OAuth
    agents: Agents
    tasks: Tasks
    workflows: Workflows
    runs: Runs
    routes: Routes
    usage: Usage
    what_if: WhatIf
    budgets: Budgets
    alerts: Alerts
    integrations: Integrations
    webhooks: Webhooks
    audit: Audit
    projects: Projects
    plans: Plans
    comparisons: Comparisons
    completions: Completions
    streams: Streams
    changes: Changes
    rates: Rates
    repeats: Repeats
    health: Health
    measuring: Measuring
    standing: Standing
    _parts: "Prepared"
    _hub: Hub
    _calls: Calls
    _answers: Answers
    _lines: Lines
    _care: Care
    _planner: Planner
    _children: Children
    _loops: "tuple[asyncio.Task[None], ...]"

    @property
    def catalog(self) -> Catalog:
        """Every model that is known."""
        return self._parts.catalog

    @property
    def prices(self) -> Prices:
        """What calls cost."""
        return self._parts.prices

    async def ping(self) -> None:
        """Raises:
        Unavailable: the database does not answer. ConfigurationError: it refuses us.
        """
        await self._parts.database.ping()

    async def warm(self) -> None:
        """Load what the first call of a provider needs: for a process that stays, once it answers."""
        for provider in self._parts.providers.values():
            # Its first call says what is wrong.
            with suppress(ProviderError):
                await provider.connected()

    def make_plans(self, gateway: Gateway) -> None:
        """From now on make what is wanted of Task Master, whose models are asked through the gateway."""
        self._loops = (*self._loops, asyncio.create_task(self._planner.loop(gateway)))

    async def stop(self) -> bool:
        """Take no more work, let running calls end for `drain_seconds`, then cut them: the next start repeats them.

        Returns whether callers waited for tasks; each has its answer now, which may still be on its way to it.
        """
        # Looked at before and after: who waited for what ends meanwhile has gone from the list by then.
        waited_for = self._hub.listened
        await self._answers.rest(self._parts.settings.drain_seconds)
        # Not earlier: until their end, calls are cancelled by what the loop on the wire hears.
        for loop in self._loops:
            loop.cancel()
        # Not for ever: a round may wait for a database that is away.
        await asyncio.wait(self._loops, timeout=_LOOPS_END_SECONDS)
        await self._children.close()
        await self._answers.stop()
        # Who waits for a task that was cut is told only by `dismiss`.
        waited_for |= self._hub.listened
        await self._hub.dismiss(_LAST_LOOK_SECONDS)
        await self._parts.engine.stop()
        return bool(waited_for)

    async def close(self) -> None:
        """`stop`, then free every connection and thread: for a process that lives on."""
        await self.stop()
        await self._parts.engine.dispose()
        await self._lines.close()
        await self._parts.close()


@dataclass(slots=True)
class Prepared:
    """Everything that could be made without a running loop."""

    settings: Settings
    database: Database
    engine: DbosEngine
    catalog: Catalog
    prices: Prices
    providers: dict[str, OpenAICompatible]
    chance: "np.random.Generator | None"
    estimates: Callable[[], Estimates]

    async def launch(self, *, guest: bool = False) -> App:
        """Begin to run work, first of all what a crash left behind; a guest leaves that to others."""
        health, wire = Health(), wire_on(self.database, self.engine.executor)
        changes, calls, webhooks = Changes(self.database), Calls(wire), parts.webhooks_of(self.database, self.settings)
        hub, benches = Hub(wire.tell_news, changes.cue, webhooks.sender.cue), Benches(self.settings.home / "plans")
        conductor = Conductor(hub, calls, self.engine.executor, benches)
        self.catalog = await with_local_models(self.catalog, self.providers)
        principal, configured = await self._first_rows(health), frozenset(self.providers)
        routes, router = self._routing(health, configured)
        tools = Tools(self.database, hub, self.catalog, self.prices, health, self.settings, self.engine.executor)
        admission = Admission(tools, self.engine, calls, wire, configured, guest=guest)
        integrations, lines = self._own_lines(router)
        answers = Answers(tools, self.engine, routes, router, calls, conductor, admission, lines)
        workflows, following = Workflows(self.database, changes.cue), Following(hub, lambda: admission.closing)
        tasks = Tasks(self.database, self.engine, admission, calls, conductor, following)
        await self._take_work(answers, 0 if guest else self.settings.concurrency)
        accounts, access, oauth = parts.coming_in(self.database, self.settings, principal)
        care = Care(self.database, self.engine, admission, calls, conductor, hub, self.settings)
        runs = Runs(self.database, admission, conductor, following, tasks, workflows)
        known, children, bridge = parts.task_master(self.database, self.settings, admission, conductor)
        audit, keeping = parts.trail(self.database, self.settings)
        hearing = wire.listen(Ears(hub.hear, calls.cancel, care.call, lambda: hub.listened - calls.tasks))
        return App(
            local_principal=principal,
            accounts=accounts,
            access=access,
            oauth=oauth,
            agents=Agents(self.database, self.catalog, routes, tasks, conductor),
            tasks=tasks,
            workflows=workflows,
            runs=runs,
            routes=routes,
            usage=Usage(self.database, self.catalog, self.prices, configured, self.settings),
            what_if=WhatIf(self.database, routes),
            budgets=Budgets(self.database, self.settings),
            alerts=Alerts(self.database),
            integrations=integrations,
            webhooks=webhooks,
            audit=audit,
            projects=Projects(self.database, known, children, workflows, runs),
            plans=Plans(self.database, runs, children),
            comparisons=Comparisons(tools, admission, routes),
            completions=Completions(self.database, known),
            streams=Streams(self.database, hub, lambda: admission.closing),
            changes=changes,
            rates=Rates(self.database, self.settings),
            repeats=Repeats(self.database),
            health=health,
            measuring=Measuring(self.database),
            standing=Standing(self.settings, self.catalog, database_of),
            _parts=self,
            _hub=hub,
            _calls=calls,
            _answers=answers,
            _lines=lines,
            _care=care,
            _planner=Planner(self.database, self.settings.task_master_command, benches, conductor, admission, tasks),
            _children=children,
            _loops=_begun(care.loop(), hearing, changes.loop(), *self._kept(guest, keeping, bridge, webhooks)),
        )

    async def close(self) -> None:
        """Free the connections to providers and the database, once nothing runs that needs them."""
        for provider in self.providers.values():
            await provider.close()
        await self.database.close()

    def _routing(self, health: Health, configured: frozenset[str]) -> tuple[Routes, Router]:
        pace, warmth = Pace(), Warmth()
        hedging = Hedging() if self.settings.hedging else None
        routes = Routes(
            self.database,
            self.catalog,
            self.prices,
            health,
            configured,
            allow_unpriced=self.settings.allow_unpriced,
            learned=self.settings.learned_routing,
            exploration=self.settings.exploration,
            chance=self.chance,
            pace=pace,
            warmth=warmth,
            estimates=self.estimates,
            of_day=funds.of_day(self.settings),
        )
        return routes, Router(self.providers, health, pace=pace, warmth=warmth, hedging=hedging)

    def _own_lines(self, router: Router) -> tuple[Integrations, Lines]:
        integrations = parts.integrations_of(self.database, self.settings, self.catalog)
        # Two for each task, one of them a hedge: a call that finds no connection takes its provider to be down.
        most_calls = 2 * self.settings.tasks_in_progress
        return integrations, Lines(integrations, self.catalog, router.forget, most_calls=most_calls)

    async def _take_work(self, answers: Answers, room: int) -> None:
        # From here on the engine calls `answers`, first for what a crash left: all that it needs must be made by now.
        with self.database.translated():
            await self.engine.launch(answers.run, room)

    def _kept(
        self, guest: bool, keeping: Keeping, bridge: Bridge, webhooks: Webhooks
    ) -> list[Coroutine[None, None, None]]:
        """The loops that a process runs which stays, as a guest does not."""
        if guest:
            return []
        beside = (webhooks.sender, Rollups(self.database), Watch(self.database, funds.of_day(self.settings)))
        return [each.loop() for each in (keeping, bridge, *beside)]

    async def _first_rows(self, health: Health) -> Principal:
        async with self.database.write(INSTALLATION) as tx:
            principal = await people.local_principal(tx, user_name(), record.now())
            await ensure_default(tx, principal)
            await ensure_templates(tx, principal)
            for (provider, model), state in (await breakers.load(tx)).items():
                health.restore(provider, model, Breaker(**state))
        return principal


def _begun(*loops: Coroutine[None, None, None]) -> tuple[asyncio.Task[None], ...]:
    return tuple(map(asyncio.create_task, loops))


def prepare(settings: Settings) -> Prepared:
    """Everything that blocks: the folder, the database's schema, the lease, what is read for decisions.

    Raises:
        ConfigurationError: the folder, the database or the catalog's rows cannot be used; says why.
    """
    starting.begin()
    catalog = Catalog.load(settings.catalog)
    database = database_of(settings)
    lease = lease_on(database)
    engine = DbosEngine(database, lease)
    schema.prepare(database, engine.migrate)
    with database.translated():
        lease.take()
    # A library's lines would repeat prompts, or their whereabouts, in our log at INFO and DEBUG.
    for noisy in ("httpx2", "httpcore2", "openai", "alembic", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    prepared = Prepared(
        settings=settings,
        database=database,
        engine=engine,
        catalog=catalog,
        prices=Prices(catalog),
        providers=providers_of(settings, catalog),
        chance=None,
        estimates=cache(lambda: estimates(catalog, settings.routing_weights, learned=settings.learned_routing)),
    )
    if settings.concurrency:
        _read_for_decisions(prepared)
    return prepared


def _read_for_decisions(prepared: Prepared) -> None:
    """In advance, so that no decision has to wait: half a second, which a process that runs no task does not pay."""
    import numpy as np

    prepared.prices.load()
    if prepared.settings.learned_routing:
        task_types.shipped()
    prepared.estimates()
    prepared.chance = np.random.default_rng()


@asynccontextmanager
async def open_app(settings: Settings, *, guest: bool = False) -> AsyncIterator[App]:
    """The product, from opening to closing, for tests, commands and other programs.

    A guest is a process that soon leaves: it runs the tasks that are submitted to it and no others.

    Raises:
        ConfigurationError: see `prepare`.
    """
    prepared = await asyncio.to_thread(prepare, settings)
    try:
        app = await prepared.launch(guest=guest)
    except BaseException:
        await asyncio.to_thread(prepared.engine.abandon)
        await prepared.close()
        raise
    try:
        yield app
    finally:
        await app.close()


def upgrade(database: Database) -> None:
    """Make or upgrade all tables, the engine's too, as every start does. Blocks.

    Raises:
        Unavailable, ConfigurationError: see `schema.prepare`.
    """
    schema.prepare(database, DbosEngine(database, lease_on(database)).migrate)
