"""The services on a real database with an engine that only takes note of its work: tests do it, when they like."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vel_tutor_mcp.execution.engine import Run
from vel_tutor_mcp.models import Principal, Work
from vel_tutor_mcp.parts import integrations_of
from vel_tutor_mcp.providers.base import Provider
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.routing.router import Router
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.agents import ensure_default
from vel_tutor_mcp.services.answers import Answers
from vel_tutor_mcp.services.booking import Tools
from vel_tutor_mcp.services.budgets import Budgets
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.following import Following
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.lines import Lines
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.runs import Runs
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.services.wire import ReadingWire
from vel_tutor_mcp.services.workflows import Workflows
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.taskmaster.benches import Benches

CATALOG = Catalog.load()
PRICES = Prices(CATALOG)


class Noted:
    """An engine that runs nothing: the test does what it was given."""

    executor = "tester"

    def __init__(self) -> None:
        self.given: set[Work] = set()

    async def launch(self, run: Run, room: int) -> None: ...

    async def start(self, work: Work) -> bool:
        self.given.add(work)
        return True

    async def not_begun(self, works: Iterable[Work]) -> list[Work]:
        return [work for work in works if work not in self.given]

    async def holds(self, work: Work) -> bool:
        return work in self.given

    def rest(self) -> None: ...

    async def take_over(self, executors: Iterable[str]) -> set[str]:  # noqa: ARG002 - the port's signature
        return set()

    async def prune(self, before: datetime, most: int) -> int:  # noqa: ARG002 - the port's signature
        return 0

    async def stop(self) -> None: ...

    async def dispose(self) -> None: ...


@dataclass(frozen=True)
class Services:
    """What a test calls."""

    engine: Noted
    health: Health
    budgets: Budgets
    conductor: Conductor
    admission: Admission
    answers: Answers
    tasks: Tasks
    workflows: Workflows
    runs: Runs


def unheard(_: str) -> None:
    """Nobody follows anything here."""


def services_on(
    database: Database, settings: Settings, providers: Mapping[str, Provider] | None = None, **of_router: Any
) -> Services:
    """The services; without `providers` none is called, and the catalog's of Groq are candidates."""
    engine = Noted()
    wire = ReadingWire(database, engine.executor)
    hub, calls = Hub(wire.tell_news, unheard), Calls(wire)
    conductor = Conductor(hub, calls, engine.executor, Benches(settings.home / "plans"))
    tools = Tools(database, hub, CATALOG, PRICES, Health(), settings, engine.executor)
    routes = Routes(database, CATALOG, PRICES, tools.health, frozenset(providers or {"groq"}), allow_unpriced=False)
    admission = Admission(tools, engine, calls, wire, routes.configured)
    router = Router(providers or {}, tools.health, **of_router)
    lines = Lines(integrations_of(database, settings, CATALOG), CATALOG, router.forget, most_calls=10)
    answers = Answers(tools, engine, routes, router, calls, conductor, admission, lines)
    following = Following(hub, lambda: admission.closing)
    tasks, workflows = Tasks(database, engine, admission, calls, conductor, following), Workflows(database, unheard)
    return Services(
        engine=engine,
        health=tools.health,
        budgets=Budgets(database, settings),
        conductor=conductor,
        admission=admission,
        answers=answers,
        tasks=tasks,
        workflows=workflows,
        runs=Runs(database, admission, conductor, following, tasks, workflows),
    )


async def first_rows(database: Database) -> Principal:
    """Who is asking, with the agent that there is at the first start."""
    async with database.write(INSTALLATION) as tx:
        me = await people.local_principal(tx, "tester", record.now())
        await ensure_default(tx, me)
    return me
