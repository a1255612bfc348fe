"""`compare`: one prompt asked of several models, from the shell. This command's own process does the work."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column
from vel_tutor_mcp.doors.cli.product import waited_for, with_app
from vel_tutor_mcp.doors.cli.tasks import INTERRUPTED, code_of, prompt_of
from vel_tutor_mcp.doors.reply import answer_text
from vel_tutor_mcp.models import TaskType

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
    from vel_tutor_mcp.services.comparisons.told import ToldComparison

_COLUMNS = (Column("answer"), Column("model", share=1), Column("status"), Column("cost"), Column("took"))


def compare(
    prompt: Annotated[str, typer.Argument(help="What each model is to answer; - reads it from stdin.")],
    model: Annotated[list[str], typer.Option(help="Two to five of them, such as openai/gpt-4o-mini.")],
    agent: Annotated[str, typer.Option(help="As whom, but for the model: its name or id.")] = "default",
    task_type: Annotated[TaskType | None, typer.Option("--type", help="Inferred if left out.")] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Hard limit, all models together.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask several models the same, wait for all, and print what each cost, how long it took, and what it says."""
    from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
    from vel_tutor_mcp.services.comparisons.told import full_comparison

    request = ComparisonRequest(
        prompt=prompt_of(prompt), models=tuple(model), agent=agent, task_type=task_type, max_cost_usd=max_cost
    )
    try:
        told = with_app(lambda app: _compared(app, request), guest=True)
    except KeyboardInterrupt:
        output.say("No longer waiting; what was begun is kept, and a running server or the next one goes on with it.")
        raise typer.Exit(INTERRUPTED) from None
    data = full_comparison(told)
    if as_json:
        output.document(data)
    else:
        _print(data["entries"])
    output.say(f"[{data['status']}, ${data['cost_usd']:.6f}, comparison {data['id']}]")
    codes = (code_of(task.status, task.error) for task in told.tasks.values())
    if code := next(filter(None, codes), 0):
        raise typer.Exit(code)


async def _compared(app: "App", request: "ComparisonRequest") -> "ToldComparison":
    """The comparison, once all of its tasks have ended."""
    me = app.local_principal
    comparison = await app.comparisons.start(me, request)
    told = await app.comparisons.tell(me, comparison.id)
    await asyncio.gather(*(waited_for(partial(app.tasks.follow, me, task_id), None) for task_id in told.tasks))
    return await app.comparisons.tell(me, comparison.id)


def _print(entries: Iterable[dict[str, Any]]) -> None:
    """A line for each model, then the answers one below the other."""
    entries = list(entries)
    output.rows(_COLUMNS, map(_cells, entries))
    for entry in entries:
        said = entry["error"]["message"] if entry["error"] else answer_text(entry["output"])
        output.result(f"\n{entry['label']}  {entry['model']}\n{said}")


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    took = "-" if entry["total_ms"] is None else f"{entry['total_ms'] / 1000:.1f} s"
    return entry["label"], entry["model"], entry["status"], f"${entry['cost_usd']:.6f}", took
