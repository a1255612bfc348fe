"""Runs of workflows: what their steps give to each other, and what becomes of them when a step fails."""

from typing import Any

import pytest
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.run_reports import ToldRun
from vel_tutor_mcp.workflows.model import RunRequest

pytestmark = pytest.mark.anyio

Step = dict[str, Any]


def task(name: str, *needs: str, **more: Any) -> Step:
    return {"id": name, "kind": "task", "prompt": f"Do {name}", "needs": list(needs)} | more


async def started(app: App, me: Principal, *steps: Step, **inputs: Any) -> str:
    """The id of a run of a new workflow with these steps, which takes these inputs."""
    schema = {"type": "object", "properties": {name: {} for name in inputs}}
    await app.workflows.save(me, "it", {"inputs": schema, "steps": list(steps)})
    return (await app.runs.start(me, RunRequest(workflow="it", inputs=inputs))).id


async def ended(app: App, me: Principal, run_id: str) -> ToldRun:
    told = await app.runs.follow(me, run_id, 20, past_approvals=True)
    assert told.status.ended, told
    return told


async def run(app: App, me: Principal, *steps: Step, **inputs: Any) -> ToldRun:
    return await ended(app, me, await started(app, me, *steps, **inputs))


def states(told: ToldRun) -> dict[str, str]:
    return {step.step_id: step.status.value for step in told.steps}


def output(told: ToldRun, name: str) -> Any:
    (found,) = (step.output for step in told.steps if step.step_id == name)
    return found


async def test_a_step_is_given_the_output_of_the_one_before(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.answer = providers.openai.answer = lambda body: f"<{body['messages'][-1]['content']}>"

    told = await run(app, me, task("a"), task("b", "a", prompt="Then {{ steps.a.output }} of {{ inputs.x }}"), x=[1])

    assert states(told) == {"a": "completed", "b": "completed"}
    assert output(told, "b") == "<Then <Do a> of [1]>"
