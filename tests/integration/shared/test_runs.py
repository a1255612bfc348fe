"""Runs of workflows: what their steps give to each other, and what becomes of them when one fails, stops or waits."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from server import soon
from waits import found
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import AgentConfig, AgentType, Principal, TaskStatus
from vel_tutor_mcp.news import News
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.run_reports import ToldRun, full_run
from vel_tutor_mcp.store import tables
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.task_lists import TaskFilter
from vel_tutor_mcp.workflows.model import How, Run, RunRequest

pytestmark = pytest.mark.anyio

Step = dict[str, Any]

REFUSAL = Fault(kind="status", status=400, message="No.")


@pytest.fixture(autouse=True)
def repeating(providers: Providers) -> None:
    """Answers repeat the prompt."""
    for provider in (providers.groq, providers.openai):
        provider.answer = lambda body: f"<{body['messages'][-1]['content']}>"


def task(name: str, *needs: str, **more: Any) -> Step:
    return {"id": name, "kind": "task", "prompt": f"Do {name}", "needs": list(needs)} | more


def approval(name: str, *needs: str, **more: Any) -> Step:
    return {"id": name, "kind": "approval", "prompt": f"May {name}?", "needs": list(needs)} | more


def over(name: str, *needs: str, **more: Any) -> Step:
    return task(name, *needs, kind="map", over="inputs.items", prompt="Do {{ item }}") | more


async def retried(app: App, me: Principal, run_id: str) -> Run | None:
    """None while it still ends."""
    try:
        return await app.runs.retry(me, run_id)
    except Conflict:
        return None


async def started(app: App, me: Principal, *steps: Step, max_cost_usd: float | None = None, **inputs: Any) -> str:
    """The id of a run of a new version of a workflow with these steps, which takes these inputs."""
    schema = {"type": "object", "properties": {name: {} for name in inputs}}
    await app.workflows.save(me, "it", {"inputs": schema, "steps": list(steps)})
    return (await app.runs.start(me, RunRequest(workflow="it", inputs=inputs, max_cost_usd=max_cost_usd))).id


async def ended(app: App, me: Principal, run_id: str) -> ToldRun:
    told = await app.runs.follow(me, run_id, 50, past_approvals=True)
    assert told.status.ended, told
    return told


async def run(app: App, me: Principal, *steps: Step, **inputs: Any) -> ToldRun:
    return await ended(app, me, await started(app, me, *steps, **inputs))


def states(told: ToldRun) -> dict[str, str]:
    return {step.step_id: step.status.value for step in told.steps}


def output(told: ToldRun, name: str) -> Any:
    (found,) = (step.output for step in told.steps if step.step_id == name)
    return found


async def test_a_step_is_given_the_output_of_the_one_before(app: App, me: Principal) -> None:
    told = await run(app, me, task("a"), task("b", "a", prompt="Then {{ steps.a.output }} of {{ inputs.x }}"), x=[1])

    assert states(told) == {"a": "completed", "b": "completed"}
    assert full_run(told)["output"] == output(told, "b") == "<Then <Do a> of [1]>"


async def test_an_answer_with_a_schema_is_a_value_for_conditions_and_texts(
    app: App, me: Principal, providers: Providers
) -> None:
    verdict = {"type": "object", "properties": {"good": {"type": "boolean"}, "why": {"type": "string"}}}
    providers.groq.answer = providers.openai.answer = lambda _: '{"good": false, "why": "It is short"}'
    told = await run(
        app,
        me,
        task("judge", response_schema=verdict),
        task("praise", "judge", when="steps.judge.output.good"),
        task("mend", "judge", when="not steps.judge.output.good", prompt="Mend: {{ steps.judge.output.why }}"),
        task("join", "praise", "mend"),
    )

    assert states(told) == {"judge": "completed", "praise": "skipped", "mend": "completed", "join": "completed"}
    assert "Mend: It is short" in {request.prompt for request in providers.groq.requests}


async def test_steps_without_open_needs_run_side_by_side_but_at_most_five(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="stall") for _ in range(5)]
    run_id = await started(app, me, *(task(f"s{number}") for number in range(7)))
    await soon(providers.groq.until(lambda groq: groq.open == 5))
    waiting = [state for state in states(await app.runs.tell(me, run_id)).values() if state == "waiting"]
    assert len(waiting) == 2

    await app.runs.cancel(me, run_id)


async def test_a_failed_step_is_tried_again_after_its_backoff(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [REFUSAL, REFUSAL]
    told = await run(app, me, task("a", retry={"attempts": 3, "backoff_seconds": 0.05}))

    assert states(told) == {"a": "completed"}
    assert [event.message for event in told.history if event.kind == "retrying"] == [
        "a is tried again in 0.05 s (2 of 3)",
        "a is tried again in 0.1 s (3 of 3)",
    ]
    assert len(providers.groq.requests) == 3


async def test_a_failure_ends_the_run_and_stops_what_runs_beside_it(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.answer = lambda _: "Yes " * 50
    providers.groq.faults = [Fault(kind="stall", after_chunks=2), REFUSAL]
    run_id = await started(app, me, task("slow"), task("bad", "gate"), approval("gate"), task("never", "bad"))
    await soon(providers.groq.until(lambda groq: bool(groq.requests) and groq.requests[0].chunks_sent == 2))
    await app.runs.decide(me, run_id, "gate", How.TERMINAL, approve=True)
    told = await ended(app, me, run_id)
    await soon(providers.groq.until(lambda groq: groq.open == 0), 10)

    assert told.status is TaskStatus.FAILED
    assert states(told) == {"slow": "cancelled", "bad": "failed", "gate": "completed", "never": "cancelled"}
    assert told.run.error is not None
    assert told.run.error.message.startswith("Step bad: No model answered; ")
    slow = await app.tasks.follow(me, told.tasks["slow"].first, 20)
    assert (slow.status, slow.task.partial, slow.task.output) == (TaskStatus.CANCELLED, True, "Yes Yes")


async def test_a_failure_may_be_passed_over_or_lead_to_another_step(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [REFUSAL]
    told = await run(
        app, me, task("a", on_error="continue"), task("b", "a", prompt="{{ steps.a.status }} {{ steps.a.error }}")
    )
    assert (told.status, states(told)) == (TaskStatus.COMPLETED, {"a": "failed", "b": "completed"})
    assert output(told, "b").startswith("<failed No model answered; ")

    providers.groq.faults = [REFUSAL]
    told = await run(
        app, me, task("a", on_error={"goto": "mend"}), task("b", "a"), task("mend"), task("after", "b", "mend")
    )
    assert (told.status, states(told)) == (
        TaskStatus.COMPLETED,
        {"a": "failed", "b": "skipped", "mend": "completed", "after": "completed"},
    )


async def test_a_step_whose_time_is_over_is_stopped_and_tried_again(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    told = await run(app, me, task("a", timeout_seconds=1, retry={"attempts": 9, "backoff_seconds": 0}))
    assert states(told) == {"a": "completed"}
    assert "timeout" in {event.kind for event in told.history}

    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    told = await run(app, me, task("a", timeout_seconds=1))
    (step,) = told.steps
    assert step.error is not None
    assert (step.error.code, step.error.message) == ("timeout", "It took longer than its timeout_seconds of 1.")


class TestMap:
    async def test_a_map_does_each_item_and_keeps_their_order(self, app: App, me: Principal) -> None:
        items = [f"item {number}" for number in range(25)]
        told = await run(app, me, over("m"), task("then", "m", prompt="{{ steps.m.output.items.24 }}"), items=items)

        assert output(told, "m") == {
            "items": [f"<Do {item}>" for item in items],
            "succeeded": 25,
            "failed": 0,
            "errors": [],
        }
        assert output(told, "then") == "<<Do item 24>>"

    async def test_no_more_items_are_open_than_the_step_says(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        most = 0

        def watched(_: Any) -> str:
            nonlocal most
            most = max(most, providers.groq.open)
            return "ok"

        providers.groq.answer = watched
        providers.groq.faults = [Fault(kind="stall")] * 3
        run_id = await started(app, me, over("m", parallel=3), items=list(range(9)))
        await soon(providers.groq.until(lambda groq: groq.open == 3))
        listed = (await app.tasks.list(me, TaskFilter(status=TaskStatus.IN_PROGRESS))).rows
        items = [task.id for task in listed if task.run_id == run_id]
        for item in items:
            await app.tasks.cancel(me, item)
        told = await ended(app, me, run_id)
        assert (output(told, "m")["succeeded"], len(items), most) == (6, 3, 3)

    async def test_items_that_fail_are_told_beside_those_that_do_not(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [REFUSAL]
        told = await run(app, me, over("m", parallel=1), items=["a", "b", "x" * 100_001, "N\0L", "e"])

        given = output(told, "m")
        assert given["items"] == [None, "<Do b>", None, None, "<Do e>"]
        assert (given["succeeded"], given["failed"]) == (2, 3)
        errors = [(row["index"], row["code"]) for row in given["errors"]]
        assert errors == [(0, "no_answer"), (2, "invalid_input"), (3, "invalid_input")]

    async def test_a_map_fails_where_every_item_has(self, app: App, me: Principal, providers: Providers) -> None:
        providers.groq.faults = [REFUSAL, REFUSAL]
        told = await run(app, me, over("m", parallel=1), items=["a", "b"])
        assert (told.status, told.steps[0].error and told.steps[0].error.code) == ("failed", "no_item_succeeded")

    async def test_a_map_over_nothing_is_done_at_once(self, app: App, me: Principal) -> None:
        assert output(await run(app, me, over("m"), items=[]), "m")["items"] == []

    @pytest.mark.parametrize("items", ["text", None, {"a": 1}, list(range(1001))])
    async def test_what_is_no_list_fails_the_step(self, app: App, me: Principal, items: Any) -> None:
        told = await run(app, me, over("m"), items=items)
        assert told.steps[0].error is not None
        assert told.steps[0].error.message.startswith("There is no list to map over; inputs.items must be")

    async def test_a_retry_does_the_failed_items_alone_and_no_more_at_once(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [REFUSAL] * 4
        run_id = await started(app, me, over("m", parallel=2, timeout_seconds=600), items=["a", "b", "c", "d"])
        assert (await ended(app, me, run_id)).status is TaskStatus.FAILED
        providers.groq.requests.clear()

        await app.runs.retry(me, run_id)
        told = await ended(app, me, run_id)

        assert output(told, "m")["items"] == ["<Do a>", "<Do b>", "<Do c>", "<Do d>"]
        assert len(providers.groq.requests) == 4

    async def test_a_retried_map_passes_over_an_item_that_was_cancelled_before_its_turn(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [REFUSAL] * 3
        run_id = await started(app, me, over("m", parallel=1), items=["a", "b", "c"])
        assert (await ended(app, me, run_id)).status is TaskStatus.FAILED
        providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
        await app.runs.retry(me, run_id)
        await soon(providers.groq.until(lambda groq: groq.open == 1))

        first, second, _ = (await app.runs.tell(me, run_id)).tasks["m"].ids
        await app.tasks.cancel(me, second)
        await app.tasks.cancel(me, first)
        told = await ended(app, me, run_id)
        assert output(told, "m")["items"] == [None, None, "<Do c>"]

    async def test_the_time_of_a_map_may_end_with_some_items_done(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [Fault(kind="stall")] * 2
        providers.groq.latency = 0.01
        told = await run(app, me, over("m", parallel=2, timeout_seconds=1), items=["a", "b", "c"])
        assert told.steps[0].error is not None
        assert told.status is TaskStatus.FAILED

    @pytest.mark.parametrize("kind", ["task", "map"])
    async def test_nobody_is_asked_again_in_the_name_of_a_deleted_agent(
        self, app: App, me: Principal, providers: Providers, kind: str
    ) -> None:
        await app.agents.create(me, f"gone-{kind}", AgentType.RESEARCHER, AgentConfig())
        providers.groq.faults = [Fault(kind="stall", after_chunks=1), Fault(kind="stall", after_chunks=1)]
        asks = {"agent": f"gone-{kind}", "retry": {"attempts": 3, "backoff_seconds": 0}}
        step = task("a", **asks) if kind == "task" else over("a", **asks)
        run_id = await started(app, me, step, items=[1, 2][: 1 + (kind == "map")])
        await soon(providers.groq.until(lambda groq: groq.open == len(groq.requests) == 1 + (kind == "map")))
        await app.agents.delete(me, f"gone-{kind}")
        await app.runs.cancel(me, run_id)
        asked = len(providers.groq.requests)
        await found(lambda: retried(app, me, run_id))
        told = await ended(app, me, run_id)

        assert states(told) == {"a": "failed"}
        assert told.run.error is not None
        assert told.run.error.code == "not_found"
        assert len(providers.groq.requests) == asked

    async def test_a_map_whose_agent_is_deleted_ends(self, app: App, me: Principal, providers: Providers) -> None:
        await app.agents.create(me, "reader", AgentType.RESEARCHER, AgentConfig())
        providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
        run_id = await started(app, me, over("m", parallel=1, agent="reader"), items=["a", "b"])
        await soon(providers.groq.until(lambda groq: groq.open == 1))
        await app.agents.delete(me, "reader")
        await app.runs.stop(me, (await app.runs.tell(me, run_id)).tasks["m"].first)

        told = await ended(app, me, run_id)
        assert told.steps[0].error is not None
        assert told.steps[0].error.message.startswith("There is no such agent; ")


class TestApproval:
    async def test_a_run_waits_for_its_approval_and_goes_on(self, app: App, me: Principal) -> None:
        run_id = await started(
            app, me, task("a"), approval("ok", "a", prompt="Send {{ steps.a.output }}?"), task("b", "ok")
        )
        told = await app.runs.follow(me, run_id, 20)
        assert told.status is TaskStatus.AWAITING_APPROVAL
        (asks,) = full_run(told)["approvals"]
        assert asks.pop("asked_at") > full_run(told)["created_at"]
        assert asks == {"step": "ok", "prompt": "Send <Do a>?", "human": False, "due_at": None, "on_timeout": None}

        await app.runs.decide(me, run_id, "ok", How.TERMINAL, "Fine", approve=True)
        told = await ended(app, me, run_id)
        assert states(told) == {"a": "completed", "ok": "completed", "b": "completed"}
        given = output(told, "ok")
        assert (given["approved"], given["by"], given["comment"]) == (True, me.name, "Fine")
        (decided,) = (await app.audit.search(me, action="approval_decided", subject=f"run:{run_id}")).rows
        assert decided.payload == {"step": "ok", "approved": True, "how": "terminal"}

    async def test_a_comment_that_is_too_long_decides_nothing(self, app: App, me: Principal) -> None:
        run_id = await started(app, me, approval("ok"))
        with pytest.raises(InputError, match="The comment has 2,001 characters; at most 2,000 are kept; nothing was d"):
            await app.runs.decide(me, run_id, "ok", How.ELICITED, "c" * 2001, approve=True)
        assert states(await app.runs.tell(me, run_id)) == {"ok": "awaiting_approval"}

    async def test_the_first_decision_counts_and_a_later_one_is_told_so(self, app: App, me: Principal) -> None:
        run_id = await started(app, me, approval("ok"), approval("other"))
        decisions = (app.runs.decide(me, run_id, "ok", How.TERMINAL, approve=approve) for approve in (True, False))
        told = await asyncio.gather(*decisions, return_exceptions=True)

        approved = told[0] is None  # which of the two comes first is left to chance
        (later,) = filter(None, told)
        assert isinstance(later, Conflict)
        assert f"was {'approved' if approved else 'rejected'} already, by {me.name} at " in str(later)
        assert output(await app.runs.tell(me, run_id), "ok")["approved"] is approved

    @pytest.mark.parametrize(("rule", "state"), [("reject", "failed"), ("approve", "completed")])
    async def test_a_deadline_decides_by_its_rule(self, app: App, me: Principal, rule: str, state: str) -> None:
        told = await run(app, me, approval("ok", timeout_seconds=1, on_timeout=rule))
        assert states(told) == {"ok": state}
        assert output(told, "ok")["how"] == "deadline"

    async def test_a_rejection_can_be_dealt_with(self, app: App, me: Principal) -> None:
        steps = (approval("ok", on_error={"goto": "sorry"}), task("go", "ok"), task("sorry"))
        run_id = await started(app, me, *steps)
        await app.runs.decide(me, run_id, "ok", How.TERMINAL, approve=False)
        told = await ended(app, me, run_id)
        assert (told.status, states(told)) == ("completed", {"ok": "failed", "go": "skipped", "sorry": "completed"})

    async def test_what_waits_for_no_decision_cannot_be_decided(self, app: App, me: Principal) -> None:
        run_id = await started(app, me, approval("first"), approval("second", "first"), task("a", "second"))
        for step, error, sentence in (
            ("second", Conflict, "The step second is waiting; it does not wait for a decision now; "),
            ("a", InputError, "The run has no such approval; its approvals are first, second; "),
            ("none", InputError, "The run has no such approval; "),
        ):
            with pytest.raises(error) as caught:
                await app.runs.decide(me, run_id, step, How.TERMINAL, approve=True)
            assert str(caught.value).startswith(sentence)
        await app.runs.cancel(me, run_id)


class TestRetry:
    async def test_a_run_goes_on_from_its_failed_step_with_what_was_completed(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        run_id = await started(app, me, task("a"), approval("gate", "a"), task("b", "gate"), task("c", "b"))
        await app.runs.follow(me, run_id, 20)
        providers.groq.faults = [REFUSAL]
        await app.runs.decide(me, run_id, "gate", How.TERMINAL, approve=True)
        told = await ended(app, me, run_id)
        assert states(told) == {"a": "completed", "gate": "completed", "b": "failed", "c": "cancelled"}

        await app.runs.retry(me, run_id)
        told = await ended(app, me, run_id)
        assert set(states(told).values()) == {"completed"}
        assert [request.prompt for request in providers.groq.requests] == ["Do a", "Do b", "Do b", "Do c"]

    async def test_only_what_has_failed_can_be_tried_again(self, app: App, me: Principal, providers: Providers) -> None:
        providers.groq.faults = [REFUSAL]
        run_id = await started(app, me, task("a"), task("b", "a"))
        await ended(app, me, run_id)
        with pytest.raises(InputError, match="The run has no such step; its steps are a, b; "):
            await app.runs.retry(me, run_id, "c")

        await app.runs.retry(me, run_id, "a")
        told = await ended(app, me, run_id)
        assert told.status is TaskStatus.COMPLETED
        with pytest.raises(Conflict, match="is completed; only a failed or cancelled one can be continued"):
            await app.runs.retry(me, run_id)

    async def test_a_step_that_others_have_gone_on_from_stays_as_it_is(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [REFUSAL]
        run_id = await started(app, me, task("a", on_error="continue"), task("b", "a"), approval("ok", "b"))
        await app.runs.follow(me, run_id, 20)
        await app.runs.decide(me, run_id, "ok", How.TERMINAL, approve=False)
        with pytest.raises(
            Conflict, match="The step b has begun with what it saw of a; what a step was given never changes"
        ):
            await app.runs.retry(me, run_id, "a")

        await app.runs.retry(me, run_id)
        assert (await app.runs.get(me, run_id)).status is TaskStatus.AWAITING_APPROVAL
        await app.runs.cancel(me, run_id)

    async def test_a_task_of_a_step_is_not_retried_by_itself(
        self, app: App, me: Principal, providers: Providers
    ) -> None:
        providers.groq.faults = [REFUSAL]
        told = await run(app, me, task("a"))
        with pytest.raises(Conflict, match="its step is what is tried again; use workflow_retry with step a"):
            await app.tasks.retry(me, told.tasks["a"].first)


async def test_cancelling_a_run_stops_its_steps(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1) for _ in range(4)]
    run_id = await started(app, me, *(task(name) for name in "abcd"), over("m", "a"), approval("ok"), items=[1])
    await soon(providers.groq.until(lambda groq: groq.open == 4))

    told = await soon(app.runs.stop(me, run_id))
    await soon(providers.groq.until(lambda groq: groq.open == 0), 10)

    assert isinstance(told, ToldRun)
    assert told.status is TaskStatus.CANCELLED
    assert set(states(told).values()) == {"cancelled"}
    with pytest.raises(Conflict, match="is cancelled already"):
        await app.runs.cancel(me, run_id)


async def test_cancelling_the_task_of_a_step_fails_the_step_and_is_not_retried(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    run_id = await started(app, me, task("a", retry={"attempts": 5}))
    await soon(providers.groq.until(lambda groq: groq.open == 1))
    await app.tasks.cancel(me, (await app.runs.tell(me, run_id)).tasks["a"].first)

    told = await ended(app, me, run_id)
    assert told.run.error is not None
    assert (told.run.error.code, told.run.error.message) == ("cancelled", "Step a: Its task was cancelled.")


async def test_a_run_never_costs_more_than_its_limit(app: App, me: Principal) -> None:
    told = await run(app, me, *(task(name, on_error="continue") for name in "abc"), max_cost_usd=0.000_01)
    assert told.cost_nanousd <= 10_000
    errors = {step.error.code for step in told.steps if step.error}
    assert errors <= {"over_budget", "no_candidate"}
    assert errors


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (task("s"), "A text of the step is too long; with what is put into it, it has more than 100,000 characters; "),
        (over("s"), "None of 1 items succeeded; the first says: A text of the step is too long; "),
        (approval("s"), "What is to be approved is too long; it holds outputs of other steps; ask with less."),
    ],
    ids=["task", "map", "approval"],
)
async def test_a_step_whose_text_becomes_too_long_fails(app: App, me: Principal, step: Step, sentence: str) -> None:
    told = await run(app, me, step | {"prompt": "{{ inputs.x }}" * 100}, x="y" * 100_000, items=[1])
    assert told.steps[0].error is not None
    assert told.steps[0].error.message.startswith(sentence)


async def test_what_all_items_of_a_map_have_alike_is_written_once(
    app: App, me: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def written(value: Any) -> str:
        seen.append(value)
        return "y" * 100_000

    monkeypatch.setattr("vel_tutor_mcp.workflows.text._written", written)
    large = over("m", prompt="{{ inputs.large }} {{ item }}")
    told = await run(app, me, large, large={"a": 1}, items=list(range(50)))
    assert states(told) == {"m": "failed"}
    assert seen == [{"a": 1}]


@pytest.mark.parametrize("depth", [200, 201, 938])
async def test_an_answer_of_endless_depth_does_not_hang_a_map(
    app: App, me: Principal, providers: Providers, depth: int
) -> None:
    providers.groq.answer = providers.openai.answer = lambda _: "[" * depth + "]" * depth
    told = await run(app, me, over("m", response_schema={"type": "array"}), items=[1, 2])
    assert states(told) == {"m": "completed" if depth == 200 else "failed"}


async def test_a_run_that_cannot_go_on_by_a_fault_of_ours_ends(
    app: App, me: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr("vel_tutor_mcp.services.round.of_map", faulty)
    told = await run(app, me, over("m"), task("then", "m"), items=[1])
    assert states(told) == {"m": "cancelled", "then": "cancelled"}
    assert told.run.error is not None
    assert told.run.error.message.startswith("The server met an unexpected fault (RuntimeError); ")
    (told_task,) = [await app.tasks.tell(me, told.tasks["m"].first)]
    assert told_task.status is TaskStatus.FAILED


async def test_a_fault_at_a_deadline_keeps_nothing_from_others(
    app: App, me: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_out = Conductor.time_out

    async def faulty(self: Conductor, tx: Any, run_id: str, *rest: Any) -> None:
        if run_id == broken:
            raise RuntimeError
        await time_out(self, tx, run_id, *rest)

    monkeypatch.setattr(Conductor, "time_out", faulty)
    broken = await started(app, me, approval("ok", timeout_seconds=1))
    told = await run(app, me, approval("ok", timeout_seconds=1, on_timeout="approve"), task("then", "ok"))
    assert states(told) == {"ok": "completed", "then": "completed"}
    monkeypatch.undo()
    assert states(await ended(app, me, broken)) == {"ok": "failed"}


async def test_what_calls_of_a_run_set_aside_at_once_is_waited_for(
    app: App, me: Principal, providers: Providers
) -> None:
    """Each of these calls could cost as much as the whole run may, and costs a thousandth of it."""
    providers.groq.latency = providers.openai.latency = 0.05
    async with app._parts.database.write(INSTALLATION) as tx:  # what other tests have taught leads to dearer models
        await tx.execute(tables.evidence.delete())
    run_id = await started(app, me, over("m"), max_cost_usd=0.003, items=[*range(12)])
    told = await ended(app, me, run_id)

    assert (output(told, "m")["succeeded"], output(told, "m")["errors"]) == (12, [])
    assert 0 < told.cost_nanousd < 3_000_000
    longest = {request.body.get("max_completion_tokens") for request in providers.groq.requests}
    assert longest == {4096}


async def test_a_key_starts_one_run_and_another_request_with_it_is_refused(app: App, me: Principal) -> None:
    await app.workflows.save(me, "once", {"steps": [task("a")]})
    request = RunRequest(workflow="once", inputs={}, idempotency_key="k")
    first, second = await asyncio.gather(app.runs.start(me, request), app.runs.start(me, request))
    assert first.id == second.id
    with pytest.raises(Conflict, match="This idempotency key was used for run "):
        await app.runs.start(me, replace(request, max_cost_usd=1.0))


async def test_inputs_are_checked_and_their_defaults_filled_in(app: App, me: Principal) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "style": {"type": "string", "default": "plain"}},
        "required": ["n"],
    }
    steps = [task("a", prompt="{{ inputs.n }} {{ inputs.style }}")]
    await app.workflows.save(me, "typed", {"inputs": schema, "steps": steps})
    for wrong, why in (({}, "they lack n"), ({"n": "x"}, "it does not match the schema at n")):
        with pytest.raises(InputError, match=f"The inputs do not fit this workflow; {why}"):
            await app.runs.start(me, RunRequest(workflow="typed", inputs=wrong))
    started_run = await app.runs.start(me, RunRequest(workflow="typed", inputs={"n": 1}))
    assert output(await ended(app, me, started_run.id), "a") == "<1 plain>"


async def test_a_run_keeps_the_version_that_it_began_with(app: App, me: Principal) -> None:
    run_id = await started(app, me, approval("ok"), task("a", "ok", prompt="Old"))
    await started(app, me, approval("ok"), task("a", "ok", prompt="New"))
    await app.runs.decide(me, run_id, "ok", How.TERMINAL, approve=True)
    assert output(await ended(app, me, run_id), "a") == "<Old>"


async def test_who_follows_a_run_hears_of_its_steps_with_growing_percents(app: App, me: Principal) -> None:
    heard, began = list[News](), asyncio.Event()

    async def tell(news: News) -> None:
        heard.append(news)
        began.set()

    run_id = await started(app, me, approval("gate"), *(task(name, "gate") for name in "abc"))
    following = asyncio.create_task(app.runs.follow(me, run_id, 20, tell, past_approvals=True))
    await soon(began.wait())
    await app.runs.decide(me, run_id, "gate", How.TERMINAL, approve=True)
    await following

    percents = [news.percent for news in heard]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    words = "; ".join(news.message for news in heard)
    assert all(f"{name} completed" in words for name in "abc")


async def test_another_users_run_is_not_there(app: App, me: Principal) -> None:
    run_id = await started(app, me, approval("ok"))
    stranger = replace(me, user_id="0" * 32, organisation_id="0" * 32, role="task_executor")
    for look in (app.runs.get, app.runs.tell, app.runs.cancel, app.runs.retry):
        with pytest.raises(NotFound):
            await look(stranger, run_id)
    with pytest.raises(NotFound):
        await app.runs.decide(stranger, run_id, "ok", How.TERMINAL, approve=True)
    assert (await app.runs.list(stranger)).rows == ()
    await app.runs.cancel(me, run_id)
