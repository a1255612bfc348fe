"""Random workflows, with random failures in a random order: they come to what the rules say, told by an interpreter.

The services on a real database, with an engine that only takes note of its work: each task is ended by the test.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from flows import flows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interpreter import End, Fate, Flow, answer, interpret, is_fatal
from noted import Services, first_rows, services_on
from times import examples

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import Principal, Task, TaskError, TaskStatus
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.record import Aftermath, Subject
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import runs, schema, step_tasks
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.workflows.definition import ApprovalStep, MapStep, TaskStep
from vel_tutor_mcp.workflows.graph import Graph, read
from vel_tutor_mcp.workflows.model import How, Run, RunRequest, RunStep, StepStatus

MOST_STEPS_AT_ONCE = 5
LIKELY = 0.4
NO_ANSWER = TaskError(code="no_answer", message="No model answered.")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stage:
    """The product, open for all examples of a test."""

    loop: asyncio.Runner
    database: Database
    services: Services
    me: Principal

    def wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run(coroutine)


@contextmanager
def stage(home: Path, database_url: str | None) -> Iterator[Stage]:
    place = Settings.model_validate({"home": home, "database_url": database_url, "tasks_in_progress": 1000})
    database = database_of(place)
    schema.prepare(database, lambda: None)
    with asyncio.Runner() as loop:
        try:
            yield Stage(loop, database, services_on(database, place), loop.run(first_rows(database)))
        finally:
            loop.run(database.close())


@dataclass
class Play:
    """One run, whose tasks and approvals are ended one after the other, in the order that chance has.

    `cancelled_after` so many of them the run is cancelled. `answered` and `failed` count the attempts of each task,
    those that failed since its run went on.
    """

    on: Stage
    flow: Flow
    chance: Random
    cancelled_after: int
    graph: Graph = field(init=False)
    run: Run = field(init=False)
    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    async def start(self) -> None:
        self.graph = read(self.flow.raw)
        await self.on.services.workflows.save(self.on.me, "it", self.flow.raw)
        request = RunRequest(workflow="it", inputs=self.flow.inputs)
        self.run = await self.on.services.runs.start(self.on.me, request)

    async def play(self) -> dict[str, RunStep]:
        """Until the run has ended, and all that it has begun."""
        while True:
            async with self.on.database.read(INSTALLATION) as tx:
                self.run = await runs.get(tx, self.run.id)
                steps = {step.step_id: step for step in await runs.steps(tx, self.run.id)}
                tasks = await step_tasks.unended(tx, self.run.id)
            open_now = [task for task in tasks if task.not_before != step_tasks.PARKED]
            asked = [name for name, step in steps.items() if step.status is StepStatus.AWAITING_APPROVAL]
            self.check(steps, open_now)
            if not tasks and self.run.status.ended:
                return steps
            choices: list[Task | str] = [*open_now, *asked]
            self.cancelled_after -= 1
            if self.cancelled_after == 0 and not self.run.status.ended:
                await self.on.services.runs.cancel(self.on.me, self.run.id)
            else:
                await self.go_on(self.chance.choice(choices))

    def check(self, steps: Mapping[str, RunStep], tasks: list[Task]) -> None:
        """At most five at once, and nothing that could begin waits; a map does its items as many at once as it may."""
        if self.run.status.ended:
            assert all(step.status.ended for step in steps.values())
            return
        running = [name for name, step in steps.items() if step.status is StepStatus.RUNNING]
        busy = Counter(task.step_id for task in tasks)
        assert len(running) <= MOST_STEPS_AT_ONCE
        assert set(busy) == set(running)
        for name in running:
            asked = self.graph.steps[name]
            assert busy[name] <= (asked.parallel if isinstance(asked, MapStep) else 1)
        for name, step in steps.items():
            if step.status is StepStatus.WAITING and all(
                steps[other].status.ended for other in self.graph.before[name]
            ):
                assert len(running) == MOST_STEPS_AT_ONCE
                assert not isinstance(self.graph.steps[name], ApprovalStep)
        asks = StepStatus.AWAITING_APPROVAL in {step.status for step in steps.values()}
        assert self.run.status is (TaskStatus.AWAITING_APPROVAL if asks else TaskStatus.IN_PROGRESS)

    async def go_on(self, chosen: Task | str) -> None:
        if isinstance(chosen, str):
            await self.decide(chosen)
        elif not chosen.cancel_requested:
            await self.attempt(chosen)
        elif self.run.status.ended and self.comes_to(chosen) == "answered" and self.chance.random() < LIKELY:
            await self.answer(chosen)  # before it could be stopped
        else:
            await self.end(chosen, TaskStatus.CANCELLED)

    async def decide(self, step_id: str) -> None:
        decision = self.flow.decisions[step_id]
        if decision == "late":
            await self.time_out(step_id)
            return
        decide = self.on.services.runs.decide
        await decide(self.on.me, self.run.id, step_id, How.TERMINAL, approve=decision == "approve")

    async def attempt(self, task: Task) -> None:
        asked, to = self.graph.steps[task.step_id or ""], self.comes_to(task)
        self.failed[task.id] += to == "failed"
        match to:
            case "answered":
                await self.answer(task)
            case "cancelled":
                await self.end(task, TaskStatus.CANCELLED)
            case _ if asked.timeout_seconds and self.chance.random() < LIKELY:
                await self.time_out(asked.id)
            case _:
                await self.end(task, TaskStatus.FAILED, error=NO_ANSWER)

    def comes_to(self, task: Task) -> str:
        """What becomes of this attempt; where all that the step may make fail, one whose time was over fails too."""
        step_id = task.step_id or ""
        asked, fate = self.graph.steps[step_id], self.flow.fates[step_id][task.item]
        assert isinstance(asked, TaskStep | MapStep)
        lost = fate.failures >= asked.retry.attempts
        return "failed" if lost or self.failed[task.id] < fate.failures else fate.at_last

    async def answer(self, task: Task) -> None:
        self.answered[task.id] += 1
        given = answer(task.prompt, structured=task.response_schema is not None)
        await self.end(task, TaskStatus.COMPLETED, output=given if isinstance(given, str) else json.dumps(given))

    async def end(self, task: Task, status: TaskStatus, **values: Any) -> None:
        subject = Subject(task, self.on.me)
        async with self.on.database.write(INSTALLATION) as tx:
            assert await self.on.services.conductor.end_task(tx, subject, status, status.value, **values)
        await self.follow_up(subject.after)

    async def time_out(self, step_id: str, *, due: bool = True) -> None:
        after = Aftermath()
        async with self.on.database.write(INSTALLATION) as tx:
            if due:
                (step,) = (step for step in await runs.steps(tx, self.run.id) if step.step_id == step_id)
                await runs.change_step(tx, replace(step, due_at=record.now()))
            await self.on.services.conductor.time_out(tx, self.run.id, step_id, after)
        await self.follow_up(after)

    async def follow_up(self, after: Aftermath) -> None:
        self.on.services.conductor.follow_up(after)
        async with self.on.database.write(INSTALLATION) as tx:
            admitted = await self.on.services.admission.admit(tx)
        await self.on.services.admission.start(admitted)

    async def retry(self, steps: Mapping[str, RunStep]) -> None:
        """Go on from a step that has failed, unless others have seen that it had; what failed the run goes well now."""
        failed = [name for name, step in steps.items() if step.status is StepStatus.FAILED]
        chosen = self.chance.choice([None, *failed])
        self.failed.clear()
        try:
            self.run = await self.on.services.runs.retry(self.on.me, self.run.id, chosen)
        except Conflict:
            begun = [name for name, step in steps.items() if step.started_at and chosen in self.graph.ancestors[name]]
            assert begun
            chosen = None
            self.run = await self.on.services.runs.retry(self.on.me, self.run.id)
        for name in [chosen] if chosen else failed:
            if name == chosen or self.graph.steps[name].on_error == "fail":
                self.goes_well(name)

    def goes_well(self, name: str) -> None:
        self.flow = replace(
            self.flow,
            fates={**self.flow.fates, name: [Fate()] * len(self.flow.fates[name])},
            decisions={**self.flow.decisions, name: "approve"},
        )


def outcome(step: RunStep) -> End:
    """As the interpreter tells it: of an approval without who and when, of a map's errors where they are."""
    given = step.output
    match given:
        case {"approved": approved, "how": how}:
            given = {"approved": approved, "how": how}
        case {"errors": errors}:
            given = {**given, "errors": [error["index"] for error in errors]}
    return End(step.status.value, given)


def compare(play: Play, steps: Mapping[str, RunStep]) -> None:
    """All is as the rules say, but that what was under way when the run ended was stopped."""
    expected, asked = interpret(play.flow), {step["id"]: step for step in play.flow.raw["steps"]}
    fatal = [name for name, end in expected.items() if is_fatal(asked[name], end)]
    failed = [name for name in fatal if steps[name].status is StepStatus.FAILED]
    for name, step in steps.items():
        if step.status is StepStatus.CANCELLED:
            assert step.output is None
        else:
            assert outcome(step) == expected[name], name
    if play.run.status is TaskStatus.CANCELLED:
        assert not failed
        return
    assert play.run.status is (TaskStatus.FAILED if fatal else TaskStatus.COMPLETED)
    assert bool(failed) is bool(fatal)
    assert failed or all(step.status is not StepStatus.CANCELLED for step in steps.values())
    assert play.run.error is None or any(play.run.error.message.startswith(f"Step {name}: ") for name in failed)


def follow_to_its_end(on: Stage, flow: Flow, seed: int, cancelled_after: int) -> None:
    play = Play(on, flow, Random(seed), cancelled_after)
    on.wait(play.start())
    for _ in range(len(flow.fates) + 2):
        steps = on.wait(play.play())
        compare(play, steps)
        if play.run.status is TaskStatus.COMPLETED:
            break
        on.wait(play.retry(steps))
    compare(play, on.wait(play.play()))
    assert set(play.answered.values()) <= {1}


def test_random_graphs_come_to_what_the_rules_say(database_url: str | None, tmp_path: Path) -> None:
    limits = settings(
        max_examples=examples(10 if database_url else 50), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    with stage(tmp_path, database_url) as on:

        @limits
        @given(flows(), st.integers(0, 1000), st.integers(0, 10))
        def follow(flow: Flow, seed: int, cancelled_after: int) -> None:
            follow_to_its_end(on, flow, seed, cancelled_after)

        follow()


def alone(step: dict[str, Any], inputs: dict[str, Any]) -> Flow:
    raw = {"inputs": {"properties": {name: {} for name in inputs}}, "steps": [{"id": "a", "needs": []} | step]}
    return Flow(raw=raw, conditions={}, inputs=inputs, fates={"a": [Fate()] * 4}, decisions={})


async def ended_tasks(play: Play) -> list[str]:
    async with play.on.database.read(INSTALLATION) as tx:
        return [task.status.value for task in await step_tasks.of_step(tx, play.run.id, "a")]


async def in_progress(play: Play) -> list[Task]:
    async with play.on.database.read(INSTALLATION) as tx:
        found = await step_tasks.unended(tx, play.run.id)
    return sorted((task for task in found if task.status is TaskStatus.IN_PROGRESS), key=lambda task: task.item)


def test_a_map_whose_time_is_over_keeps_what_is_done(database_url: str | None, tmp_path: Path) -> None:
    over = {"kind": "map", "over": "inputs.many", "parallel": 2, "timeout_seconds": 60, "retry": {"attempts": 3}}
    flow = alone(over | {"prompt": "{{ item }}"}, {"many": ["one", "two", "three", "four"]})
    with stage(tmp_path, database_url) as on:
        play = Play(on, flow, Random(1), cancelled_after=0)

        async def story() -> RunStep:
            await play.start()
            first, _ = await in_progress(play)
            await play.answer(first)
            await play.time_out("a")
            return (await play.play())["a"]

        step = on.wait(story())
        assert on.wait(ended_tasks(play)) == ["completed", "cancelled", "cancelled"]

    assert (step.status, play.run.status) == (StepStatus.COMPLETED, TaskStatus.COMPLETED)
    assert step.output["items"] == [answer("one", structured=False), None, None, None]
    assert {error["message"] for error in step.output["errors"]} == {"It took longer than its timeout_seconds of 60."}


def test_a_time_out_that_two_processes_see_counts_once(database_url: str | None, tmp_path: Path) -> None:
    flow = alone({"kind": "task", "prompt": "x", "timeout_seconds": 60, "retry": {"attempts": 2}}, {})
    with stage(tmp_path, database_url) as on:
        play = Play(on, flow, Random(1), cancelled_after=0)

        async def story() -> RunStep:
            await play.start()
            await play.time_out("a")
            await play.time_out("a", due=False)
            (task,) = await in_progress(play)
            assert task.cancel_requested
            await play.end(task, TaskStatus.CANCELLED)
            await play.time_out("a", due=False)
            return (await play.play())["a"]

        step = on.wait(story())

    assert (step.status, step.output) == (StepStatus.COMPLETED, answer("x", structured=False))


def test_an_answer_that_arrives_before_a_time_out_could_stop_it_is_used(
    database_url: str | None, tmp_path: Path
) -> None:
    flow = alone({"kind": "task", "prompt": "x", "timeout_seconds": 60}, {})
    with stage(tmp_path, database_url) as on:
        play = Play(on, flow, Random(1), cancelled_after=0)

        async def story() -> RunStep:
            await play.start()
            await play.time_out("a")
            (task,) = await in_progress(play)
            assert task.cancel_requested
            await play.answer(task)
            return (await play.play())["a"]

        step = on.wait(story())

    assert (step.status, step.output) == (StepStatus.COMPLETED, answer("x", structured=False))


def test_an_item_that_could_not_be_asked_is_not_asked_when_the_run_goes_on(
    database_url: str | None, tmp_path: Path
) -> None:
    flow = alone({"kind": "map", "over": "inputs.many", "prompt": "{{ inputs.word }}"}, {"many": [1, 2], "word": " "})
    with stage(tmp_path, database_url) as on:
        play = Play(on, flow, Random(1), cancelled_after=0)
        on.wait(play.start())
        assert play.run.status is TaskStatus.FAILED
        on.wait(on.services.runs.retry(on.me, play.run.id))
        assert on.wait(play.play())["a"].output["failed"] == 2

    assert play.run.status is TaskStatus.FAILED
    assert play.run.error is not None
    assert play.run.error.message.startswith("Step a: None of 2 items succeeded; the first says: The prompt is empty;")


def test_a_map_that_goes_on_does_no_more_items_at_once_than_before(database_url: str | None, tmp_path: Path) -> None:
    over = {"kind": "map", "over": "inputs.many", "parallel": 2, "on_error": "fail"}
    flow = alone(over | {"prompt": "{{ item }}"}, {"many": [1, 2, 3, 4]})
    with stage(tmp_path, database_url) as on:
        play = Play(on, replace(flow, fates={"a": [Fate(failures=9)] * 4}), Random(1), cancelled_after=0)
        on.wait(play.start())
        failed = on.wait(play.play())
        assert play.run.status is TaskStatus.FAILED
        on.wait(play.retry(failed))
        assert len(on.wait(in_progress(play))) == 2
        assert on.wait(play.play())["a"].output["succeeded"] == 4
