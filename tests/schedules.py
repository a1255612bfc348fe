"""Random schedules of tasks that share money: begun, answered, raced, failed, cut, cancelled, retried, in any order.

The services, the router and the store are the real ones; the engine only takes note, and the vendors end their calls
when the schedule says. The clock is the schedule's: it runs on by seconds or days, so that what waits comes due.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import sqlalchemy as sa
from noted import PRICES, Services, first_rows, services_on
from stores import empty
from vendors import OpenCall, Vendor

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    Candidate,
    FailureKind,
    Policy,
    Principal,
    TaskRequest,
    TaskStatus,
    Work,
)
from vel_tutor_mcp.providers.base import Provider
from vel_tutor_mcp.routing.hedge import Hedging
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.agents import insert
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.standing import Budget, Period, Scope
from vel_tutor_mcp.store.tables import tasks
from vel_tutor_mcp.workflows.model import RunRequest

MOST_STEPS = 5
_ROUNDS_TO_THE_END = 300
_QUIET_SECONDS = 60.0
_FAILURES = ((FailureKind.SERVER_ERROR, False), (FailureKind.CONNECTION, False), (FailureKind.MALFORMED, True))
_EACH = {"id": "each", "kind": "map", "over": "inputs.items", "prompt": "{{ item }}", "parallel": 3}
_WORKFLOW = {"inputs": {"type": "object", "properties": {"items": {"type": "array"}}}, "steps": [_EACH]}


def most_taken(rows: list[sa.Row[Any]]) -> int:
    """The most that was settled and set aside together, at any moment."""
    events = [(row.reserved_at, row.reserved_nanousd) for row in rows]
    events += [(row.settled_at, row.settled_nanousd - row.reserved_nanousd) for row in rows if row.settled_at]
    taken = most = 0
    for _, change in sorted(events):
        taken += change
        most = max(most, taken)
    return most


def is_same(one: Budget, other: Budget) -> bool:
    """Whether they are one budget, with this limit or that."""
    return not other.of_settings and (one.subject_id, one.period) == (other.subject_id, other.period)


class Clock:
    """Now, and what the schedule has let pass."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed


class Eager(Hedging):
    """Races a second call against the first at once, as often as not."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice = dice

    def patience(self, candidate: Candidate) -> float | None:  # noqa: ARG002 - the base's signature
        return 0.0

    def take(self) -> bool:
        return self._dice.random() < 0.5


class Schedule:
    """One schedule, told by its seed. `check` is called whenever all is quiet."""

    def __init__(self, seed: int, database: Database, clock: Clock, check: "Callable[[Schedule], Any]") -> None:
        self.dice = Random(seed)
        self.database = database
        self.clock = clock
        self.changed = asyncio.Event()
        self.vendors = {name: Vendor(self.changed) for name in ("openai", "groq")}
        self.raised: list[tuple[datetime, Budget]] = []
        self.people: list[Principal] = []
        self._check = check
        self._services: Services
        self._runs: dict[asyncio.Task[str], Work] = {}
        self._errands: set[asyncio.Task[Any]] = set()
        self._begun: set[Work] = set()
        self._cut: list[Work] = []
        self._made = 0

    async def play(self) -> None:
        """Raises:
        AssertionError: something that must hold does not.
        """
        await self._open()
        moves = (
            (self._submit, 5), (self._submit_run, 1), (self._end_call, 6), (self._cancel, 1), (self._cut_off, 2),
            (self._recover, 2), (self._retry, 1), (self._raise, 1), (self._pass_time, 2),
        )  # fmt: skip
        names, weights = zip(*moves, strict=True)
        await self._submit()
        for _ in range(self.dice.randint(2, MOST_STEPS)):
            for move in self.dice.choices(names, weights, k=self.dice.randint(1, 4)):
                await move()
            await self._quiet()
            await self._check(self)
        await self._to_the_end()
        await self._check(self)

    def limit(self, budget: Budget, at: datetime) -> int:
        """The budget's limit as it was then."""
        before = (old.limit_nanousd for raised_at, old in self.raised if raised_at > at and is_same(old, budget))
        return next(before, budget.limit_nanousd)

    @property
    def calls(self) -> list[OpenCall]:
        return [call for vendor in self.vendors.values() for call in vendor.open]

    async def _open(self) -> None:
        await empty(self.database)
        at_once = self.dice.choice([2, 5, 10])
        told = Settings.model_validate({"home": "home", "tasks_in_progress": at_once, "budget_usd_day": self._usd(0.5)})
        hedging = Eager(self.dice) if self.dice.random() < 0.4 else None
        providers: dict[str, Provider] = {**self.vendors}
        self._services = services_on(self.database, told, providers, jitter=lambda: 0.0, hedging=hedging)
        self.of_day = told.budget_usd_day
        first = await first_rows(self.database)
        async with self.database.write(INSTALLATION) as tx:
            second = await people.local_principal(tx, "another", record.now())
            self.people = [first, second]
            for owner in self.people:
                await insert(tx, owner, "frugal", AgentType.RESEARCHER, self._config())
        await self._services.workflows.save(first, "all", _WORKFLOW)
        for scope, subject in ((Scope.ORGANISATION, None), (Scope.USER, None), (Scope.AGENT, "frugal")):
            for period in (Period.DAY, Period.MONTH):
                if usd_ := self._usd(0.4):
                    hard = self.dice.random() < 0.8
                    await self._services.budgets.set(first, scope, subject, period, usd_, hard=hard)

    def _config(self) -> AgentConfig:
        return AgentConfig(
            policy=self.dice.choice(list(Policy)),
            max_retries=0,
            fallback=self.dice.random() < 0.8,
            max_output_tokens=self.dice.choice([100, 1000, 4096]),
        )

    def _usd(self, share: float) -> float | None:
        """A limit that a few calls use up, for this share of those that are asked for."""
        if self.dice.random() >= share:
            return None
        dear = PRICES.worst_case(self.dice.choice(_MODELS), 20, 4096)
        assert dear
        return usd(dear) * self.dice.uniform(0.05, 4)

    async def _submit(self) -> None:
        for _ in range(self.dice.randint(1, 3)):
            self._made += 1
            request = TaskRequest(
                prompt=f"Say hello {self._made}",
                agent=self.dice.choice(["default", "frugal"]),
                max_cost_usd=self._usd(0.2),
            )
            # The second user has no agent but theirs.
            owner = self.people[0] if request.agent == "default" else self.dice.choice(self.people)
            await self._services.tasks.submit(owner, request)
        self._begin()

    async def _submit_run(self) -> None:
        self._made += 1
        items = [f"Say hello {self._made}.{item}" for item in range(self.dice.randint(1, 4))]
        request = RunRequest(workflow="all", inputs={"items": items}, max_cost_usd=self._usd(0.7))
        await self._services.runs.start(self.people[0], request)
        self._begin()

    async def _end_call(self) -> None:
        if not self.calls:
            return
        call = self.dice.choice(self.calls)
        if self.dice.random() < 0.6:
            call.answer(self.dice.choice([None, 1.0, self.dice.random()]))
        else:
            self._services.health._records.clear()  # an open circuit is waited for by the real clock
            kind, billable = self.dice.choice(_FAILURES)
            call.fail(kind, billable=billable)

    async def _cancel(self) -> None:
        """Of one that waits or is asked: of one that was cut nobody would hear for a second."""
        cut = [work.task_id for work in self._cut]
        status = self.dice.choice([TaskStatus.PENDING, TaskStatus.IN_PROGRESS])
        found = [row for row in await self._tasks(status) if row.id not in cut]
        asked = {call.request.prompt for call in self.calls}
        if status is TaskStatus.IN_PROGRESS:
            found = [row for row in found if row.prompt in asked]
        if found:
            task = self.dice.choice(found)
            self._send(self._services.tasks.cancel(self._owner(task.owner_id), task.id))

    async def _cut_off(self) -> None:
        """The process dies that has these runs, whatever it was doing: nothing more of them is booked."""
        for run in self.dice.sample(sorted(self._runs, key=id), k=min(len(self._runs), self.dice.randint(1, 3))):
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    async def _recover(self) -> None:
        for work in self._cut:
            self._start(work)
        self._cut.clear()

    async def _retry(self) -> None:
        ended = await self._tasks(TaskStatus.FAILED) + await self._tasks(TaskStatus.CANCELLED)
        if found := [row for row in ended if row.run_id is None]:
            task = self.dice.choice(found)
            self._send(self._services.tasks.retry(self._owner(task.owner_id), task.id))

    async def _raise(self) -> None:
        await self._quiet()
        await self._check(self)
        scope = self.dice.choice([Scope.ORGANISATION, Scope.USER])
        for told in await self._services.budgets.list(self.people[0]):
            budget = told.standing.budget
            if budget.scope is scope and not budget.of_settings:
                limit = 2 * usd(budget.limit_nanousd)
                await self._services.budgets.set(self.people[0], scope, None, budget.period, limit, hard=budget.hard)
                self.raised.append((record.now(), budget))

    async def _pass_time(self) -> None:
        """Those who wait look again; sometimes another day or month has begun."""
        await self._quiet()
        self.clock.passed += self.dice.choice([timedelta(seconds=20)] * 3 + [timedelta(days=1), timedelta(days=32)])
        self._services.health._records.clear()
        async with self.database.write(INSTALLATION) as tx:
            admitted = await self._services.admission.admit(tx)
        await self._services.admission.start(admitted)
        self._begin()

    async def _to_the_end(self) -> None:
        for _ in range(_ROUNDS_TO_THE_END):
            await self._quiet()
            unended = await self._tasks(TaskStatus.PENDING) + await self._tasks(TaskStatus.IN_PROGRESS)
            if not unended:
                return
            for call in self.calls:
                call.answer(self.dice.random())
            await self._recover()
            await self._quiet()
            await self._check(self)
            self.clock.passed += timedelta(seconds=20)
            self._services.health._records.clear()
            async with self.database.write(INSTALLATION) as tx:
                admitted = await self._services.admission.admit(tx)
            await self._services.admission.start(admitted)
            self._begin()
        raise AssertionError("a task waits for ever")

    def _begin(self) -> None:
        for work in self._services.engine.given - self._begun:
            self._start(work)

    def _start(self, work: Work) -> None:
        self._begun.add(work)
        run = asyncio.create_task(self._services.answers.run(work))
        self._runs[run] = work
        run.add_done_callback(self._ended)

    def _ended(self, run: "asyncio.Task[str]") -> None:
        work = self._runs.pop(run)
        if run.cancelled():
            self._cut.append(work)
        self.changed.set()

    def _send(self, errand: Any) -> None:
        async def done() -> None:
            with suppress(Conflict):  # it ended meanwhile
                await errand
            self.changed.set()

        task = asyncio.create_task(done())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _quiet(self) -> None:
        """Return when every run has ended or waits for its vendor."""
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._all_wait()
        except TimeoutError as problem:
            open_calls = [call.request.prompt[:60] for call in self.calls if not call.end.done()]
            problem.add_note(f"errands {len(self._errands)}; open calls {open_calls}")
            for run, work in self._runs.items():
                problem.add_note(f"{work} is at {[str(frame) for frame in run.get_stack()]}")
            raise

    async def _all_wait(self) -> None:
        while True:
            self._begin()
            waiting = len({call.request.prompt for call in self.calls if not call.end.done()})
            busy = any(call.end.done() for call in self.calls)
            if not busy and not self._errands and waiting == len(self._runs):
                return
            self.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self.changed.wait()

    async def _tasks(self, status: TaskStatus) -> list[sa.Row[Any]]:
        async with self.database.read(INSTALLATION) as tx:
            query = sa.select(tasks).where(tasks.c.status == status).order_by(tasks.c.created_at)
            return list(await tx.execute(query))

    def _owner(self, owner_id: str) -> Principal:
        return next(person for person in self.people if person.user_id == owner_id)


_MODELS = [row for row in PRICES._catalog.models if row.provider in {"openai", "groq"} and not row.retired]
