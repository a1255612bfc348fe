"""A step that works on a Task Master project, inside the transactions of its run.

Nothing here looks at the project: what is to be written there is left to the bridge, as an errand's state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vel_tutor_mcp.auth.roles import Operation, permit
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Task, TaskError, TaskRequest
from vel_tutor_mcp.services import intake, record
from vel_tutor_mcp.services.outputs import given_by, none_succeeded
from vel_tutor_mcp.services.stage import Stage
from vel_tutor_mcp.store import errands, step_tasks
from vel_tutor_mcp.taskmaster import briefs
from vel_tutor_mcp.taskmaster.errands import (
    Errand,
    State,
    Turn,
    after_review,
    after_work,
    number_of,
    output_of,
    told,
)
from vel_tutor_mcp.taskmaster.items import Item, Status
from vel_tutor_mcp.taskmaster.reading import ids_of
from vel_tutor_mcp.workflows.definition import MOST_ITEMS, TaskMasterStep
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.text import lookup


async def begin(stage: Stage, asked: TaskMasterStep) -> None:
    """Leave the step to the bridge; what it has done before stays, where it begins again.

    Raises:
        Forbidden: the run's owner may not. InputError: what the texts give is no project, or no list of items.
    """
    permit(stage.owner, Operation.TASKMASTER_RUN)
    before = stage.steps[asked.id].seen or {}
    seen = before | _given(stage.graph, asked, stage.scope)
    seen["tag"] = seen["tag"] or before.get("tag")  # what it has done is of that tag
    earlier = await errands.of_step(stage.tx, stage.run.id, asked.id)
    await errands.forget(stage.tx, [errand for errand in earlier.values() if not errand.succeeded])
    # Begun again, it is for the home that had it: its path may lead elsewhere on another machine.
    stage.change(asked.id, seen=seen, home=seen.get("home", ""))
    stage.note(asked.id, "started", f"{asked.id} begins, once a server that knows the project takes it on")
    stage.after.bridged.append(asked.id)


def _given(graph: Graph, asked: TaskMasterStep, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Which project, tag and items; without a list of items the step's own word counts."""
    ids = lookup(scope, graph.lists[asked.id]) if asked.id in graph.lists else None
    if ids is not None:
        ids = _ids(ids, asked)
    tag = graph.tags[asked.id].render(scope).strip()
    return {"project": graph.texts[asked.id].render(scope).strip(), "tag": tag or None, "ids": ids}


def _ids(value: Any, asked: TaskMasterStep) -> list[str]:
    ids = ids_of(value) if isinstance(value, list) and len(value) <= MOST_ITEMS else None
    if ids is None:
        raise InputError(
            f"There are no items to do; {asked.ids} must be a list of ids such as 1 and 1.2, at most {MOST_ITEMS:,}; "
            "correct the inputs, or the step that gives it."
        )
    return list(ids)


async def take(stage: Stage, step_id: str, tag: str, items: Sequence[Item], total: int) -> None:
    """Take these items on: from now on the bridge claims them."""
    first = await errands.next_number(stage.tx, stage.run.id, step_id)
    made = [
        Errand(run_id=stage.run.id, step_id=step_id, item_id=item.id, number=number, title=item.title)
        for number, item in enumerate(items, first)
    ]
    await errands.insert(stage.tx, stage.run, made, record.now())
    seen = (stage.steps[step_id].seen or {}) | {"tag": tag, "total": total}  # which tag is current may change
    stage.change(step_id, seen=seen)


async def work(stage: Stage, asked: TaskMasterStep, errand: Errand, prompt: str, agent: str) -> None:
    """Give a claimed item to the agent; where that cannot be asked, the item stays to do."""
    await stage.audit("taskmaster_claimed", asked.id, item=errand.item_id)
    request = TaskRequest(prompt=prompt, agent=agent, priority=asked.priority, max_cost_usd=asked.max_cost_usd)
    turn = await _asked(stage, asked, errand.work, request, Turn(State.WORKING), Status.PENDING)
    await _turn(stage, errand, turn)


async def settle(stage: Stage, asked: TaskMasterStep, task: Task) -> None:
    """Take note of a task of the step that has ended: it is reviewed next, or written."""
    errand = await errands.of_number(stage.tx, stage.run.id, asked.id, number_of(task.item))
    if errand is None or errand.state not in {State.WORKING, State.REVIEWING}:
        return
    if task.item == errand.review:
        turn = after_review(task, given_by(task))
    else:
        turn = after_work(task, reviewed=asked.review_agent is not None)
    if turn.state is State.REVIEWING:
        turn = await _ask_review(stage, asked, errand, task)
    await _turn(stage, errand, turn)


async def _ask_review(stage: Stage, asked: TaskMasterStep, errand: Errand, task: Task) -> Turn:
    assert asked.review_agent is not None
    request = TaskRequest(
        prompt=briefs.to_judge(task.prompt, task.output or ""),
        agent=asked.review_agent,
        priority=asked.priority,
        response_schema=briefs.VERDICT,
        max_cost_usd=asked.max_cost_usd,
    )
    return await _asked(stage, asked, errand.review, request, Turn(State.REVIEWING), Status.REVIEW)


async def _asked(
    stage: Stage, asked: TaskMasterStep, item: int, request: TaskRequest, then: Turn, otherwise: Status
) -> Turn:
    try:
        intake.check(request)
        await stage.ask(asked, item, request)
    except InputError as problem:
        return Turn(State.WRITING, otherwise, TaskError(code=problem.code, message=str(problem)))
    return then


async def _turn(stage: Stage, errand: Errand, turn: Turn) -> None:
    now = replace(errand, state=turn.state, outcome=turn.outcome, error=turn.error)
    await errands.change(stage.tx, now, record.now())
    stage.after.bridged.append(errand.step_id)


async def close(stage: Stage, errand: Errand) -> None:
    """End an errand, whose outcome is that of the item."""
    await errands.change(stage.tx, replace(errand, state=State.ENDED), record.now())
    facts: dict[str, Any] = {"item": errand.item_id, "status": errand.outcome.value if errand.outcome else None}
    facts |= {"error": errand.error.code} if errand.error else {}
    facts |= {"lost": list(errand.lost), "backup": errand.backup} if errand.lost else {}
    await stage.audit("taskmaster_written", errand.step_id, **facts)
    have = await errands.of_step(stage.tx, stage.run.id, errand.step_id)
    ended = sum(other.state is State.ENDED for other in have.values())
    total = max(len(have), (stage.steps[errand.step_id].seen or {}).get("total", 0))
    if not stage.steps[errand.step_id].status.ended:
        told = f"{errand.step_id}: {errand.item_id} {_ending(errand)}; {ended} of {total} done"
        stage.note(errand.step_id, "items", told, share=ended / total)


def _ending(errand: Errand) -> str:
    return f"is {errand.outcome}" if errand.outcome and errand.succeeded else "failed"


async def finish(stage: Stage, step_id: str, left: Sequence[str]) -> None:
    """The bridge has no more to do with the step, which ends unless its run did before it."""
    step = stage.steps[step_id]
    stage.change(step_id, home=None)
    if step.status.ended:
        return
    output = await _output(stage, step_id, left)
    stage.change(step_id, error=None, output=output)
    rows = output["items"]
    if rows and not output["done"] + output["review"]:
        first = next((row["error"]["message"] for row in rows if row["error"]), "it does not say why")
        await stage.fail(step_id, none_succeeded(len(rows), first))
    elif step.error is not None and not rows:
        await stage.fail(step_id, step.error)
    else:
        await stage.complete(step_id, output)


async def _output(stage: Stage, step_id: str, left: Sequence[str]) -> dict[str, Any]:
    tasks = {task.item: task.id for task in await step_tasks.of_step(stage.tx, stage.run.id, step_id)}
    costs = await errands.costs(stage.tx, stage.run.id, step_id)
    have = await errands.of_step(stage.tx, stage.run.id, step_id)
    return output_of([told(errand, tasks, costs) for errand in have.values()], left)
