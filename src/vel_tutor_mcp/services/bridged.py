"""The steps that the bridge to Task Master has to do with: what is stored of them, and what the bridge did, stored."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vel_tutor_mcp.errors import NoCandidate, OverBudget
from vel_tutor_mcp.models import NanoUsd, Task, TaskError
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services import errands as moves
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.going_on import going_on
from vel_tutor_mcp.services.round import Round
from vel_tutor_mcp.store import attempts, errands, runs, step_tasks
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken
from vel_tutor_mcp.taskmaster.errands import Asked, Errand, State
from vel_tutor_mcp.taskmaster.items import Item
from vel_tutor_mcp.workflows.definition import TaskMasterStep
from vel_tutor_mcp.workflows.model import Run, RunStep, StepStatus

# Why a task fails where its run's budget is spent, or has not enough left for any model.
_SPENT = frozenset({OverBudget.code, NoCandidate.code})


@dataclass(frozen=True, slots=True)
class Bridged:
    """A step as it is stored now."""

    run: Run
    step: RunStep
    definition: TaskMasterStep
    errands: Mapping[str, Errand]

    @property
    def project(self) -> str:
        return str((self.step.seen or {})["project"])

    @property
    def tag(self) -> str | None:
        """None is the current one, until the first item was taken on."""
        tag: str | None = (self.step.seen or {}).get("tag")
        return tag

    @property
    def open(self) -> list[Errand]:
        """The errands that have not ended; what is to be written comes first."""
        left = [errand for errand in self.errands.values() if errand.state is not State.ENDED]
        return sorted(left, key=lambda errand: errand.state is not State.WRITING)

    @property
    def halted(self) -> bool:
        """Whether nothing more is taken on."""
        return self.step.status.ended or self.step.error is not None

    @property
    def asked(self) -> Asked:
        """What is to be done; once the budget of the run is spent, no more of it."""
        ids = (self.step.seen or {}).get("ids")
        limited = self.run.max_cost_nanousd is not None and self.definition.max_cost_usd is None
        spent = limited and any(errand.error and errand.error.code in _SPENT for errand in self.errands.values())
        parallel = 0 if spent else self.definition.parallel
        return Asked(None if ids is None else tuple(ids), self.definition.all_ready, parallel)


class BridgeStore:
    """The bridge's side of the database. Each method is a transaction, and none does anything twice."""

    def __init__(self, database: Database, admission: Admission, conductor: Conductor) -> None:
        self._database = database
        self._admission = admission
        self._conductor = conductor

    @unbroken
    async def places(self, homes: Iterable[str]) -> list[Bridged]:
        """The steps that the bridges of these homes have to do with."""
        async with self._database.read(INSTALLATION) as tx:
            return [await self._bridged(tx, *place) for place in await errands.steps_of(tx, homes)]

    @unbroken
    async def again(self, bridged: Bridged) -> Bridged:
        """The step as it is stored now."""
        async with self._database.read(bridged.run.organisation_id) as tx:
            return await self._bridged(tx, bridged.run.id, bridged.step.step_id)

    async def _bridged(self, tx: Transaction, run_id: str, step_id: str) -> Bridged:
        run = await runs.get(tx, run_id)
        graph = await self._conductor.graph(tx, run.workflow_id, run.workflow_version)
        definition = graph.steps[step_id]
        assert isinstance(definition, TaskMasterStep)
        return Bridged(
            run=run,
            step={step.step_id: step for step in await runs.steps(tx, run_id)}[step_id],
            definition=definition,
            errands=await errands.of_step(tx, run_id, step_id),
        )

    @unbroken
    async def own(self, bridged: Bridged, home: str) -> None:
        """From now on the step is this home's: the same path may lead elsewhere on another machine."""
        async with self._round(bridged) as round_:
            step = round_.steps[bridged.step.step_id]
            if step.home == "":
                round_.change(step.step_id, home=home, seen=(step.seen or {}) | {"home": home})

    @unbroken
    async def take(self, bridged: Bridged, tag: str, items: Sequence[Item], total: int) -> None:
        """Take these items on, unless that was done meanwhile, or the step halted."""
        async with self._round(bridged) as round_:
            have = await errands.of_step(round_.tx, bridged.run.id, bridged.step.step_id)
            if _goes_on(round_, bridged) and have.keys() == bridged.errands.keys():
                await moves.take(round_, bridged.step.step_id, tag, items, total)

    @unbroken
    async def work(self, bridged: Bridged, claimed: Errand, prompt: str, agent: str) -> None:
        """Give an item that was claimed to the agent, unless the step halted meanwhile."""
        async with self._round(bridged) as round_:
            if _goes_on(round_, bridged) and await _is(round_, claimed):
                await moves.work(round_, bridged.definition, claimed, prompt, agent)

    @unbroken
    async def close(self, bridged: Bridged, errand: Errand) -> None:
        """End an errand: what was to be written is."""
        async with self._round(bridged) as round_:
            if await _is(round_, errand):
                await moves.close(round_, errand)

    @unbroken
    async def halt(self, bridged: Bridged, error: TaskError) -> None:
        """Take nothing more on, for this reason; what runs is stopped."""
        async with self._round(bridged) as round_:
            if _goes_on(round_, bridged):
                await round_.halt(bridged.step.step_id, error)

    @unbroken
    async def finish(self, bridged: Bridged, left: Sequence[str]) -> None:
        """The bridge has no more to do with the step."""
        async with self._round(bridged) as round_:
            if round_.steps[bridged.step.step_id].home is not None:
                await moves.finish(round_, bridged.step.step_id, left)

    @unbroken
    async def result(self, bridged: Bridged, errand: Errand) -> tuple[Task | None, dict[str, str | int | None]]:
        """The errand's task, and what is to be told of it beside the output: who did it, and what it took."""
        async with self._database.read(bridged.run.organisation_id) as tx:
            work = await step_tasks.of_item(tx, errand.run_id, errand.step_id, errand.work)
            review = await step_tasks.of_item(tx, errand.run_id, errand.step_id, errand.review)
            if work is None:
                return None, {}
            calls = await attempts.of_tasks(tx, [task.id for task in (work, review) if task is not None])
        return work, {
            "task_id": work.id,
            "agent": work.agent_name,
            "provider": work.provider,
            "model": work.model,
            "tokens_in": sum(call.tokens_in or 0 for call in calls),
            "tokens_out": sum(call.tokens_out or 0 for call in calls),
            "cost_usd": f"{usd(NanoUsd(sum(call.cost_nanousd or 0 for call in calls))):.9f}",
            "review_task_id": review.id if review else None,
        }

    @asynccontextmanager
    async def _round(self, bridged: Bridged) -> AsyncIterator[Round]:
        going = going_on(self._database, self._admission, self._conductor, bridged.run.organisation_id)
        async with going as (tx, after):
            round_ = await self._conductor.round(tx, await runs.get(tx, bridged.run.id), after)
            yield round_
            await round_.proceed()


def _goes_on(round_: Round, bridged: Bridged) -> bool:
    step = round_.steps[bridged.step.step_id]
    return step.status is StepStatus.RUNNING and step.error is None


async def _is(round_: Round, errand: Errand) -> bool:
    """Whether the errand is as far as it was when it was looked at."""
    have = await errands.of_number(round_.tx, errand.run_id, errand.step_id, errand.number)
    return have is not None and have.state is errand.state
