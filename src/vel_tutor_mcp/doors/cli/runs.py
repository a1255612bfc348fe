"""`run`: runs of workflows from the shell, above all the decisions that wait for a person.

The exit code tells how the run stands, as that of `task` does.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column, Cursor, Limit
from vel_tutor_mcp.doors.cli.product import waited_for, with_app
from vel_tutor_mcp.doors.cli.tasks import Wait, code_of
from vel_tutor_mcp.doors.reply import answer_text
from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.models import Page, TaskStatus
from vel_tutor_mcp.workflows.model import How, Run

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.run_reports import ToldRun

commands = typer.Typer(no_args_is_help=True, help="Look at runs of workflows, and decide what waits for a person.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Its id.")]
COLUMNS = (Column("id"), Column("status"), Column("workflow", share=1), Column("started"))
_STEPS = (Column("step"), Column("status"), Column("detail", share=1))


@commands.command()
def get(run_id: RunId, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Print what a run gave, or how its steps stand; with --wait this process also does what waits to be done."""
    with output.progress("looking") as tell:
        told = with_app(lambda app: _follow(app, run_id, wait or 0.0, tell), only_look=not wait)
    _tell_standing(told, as_json=as_json)


@commands.command("list")
def list_runs(
    status: Annotated[TaskStatus | None, typer.Option(help="Only those of this status.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow, by name or id.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first: a table, or tab-separated lines in a pipe."""
    from vel_tutor_mcp.services.run_reports import short_run

    async def page_of(app: "App") -> Page[Run]:
        me = app.local_principal
        return await app.runs.list(me, status=status, workflow=workflow, limit=limit, cursor=cursor)

    page = with_app(page_of, only_look=True)
    output.listed("runs", page, COLUMNS, _cells, short_run, as_json=as_json)


@commands.command()
def decide(
    run_id: RunId,
    step: Annotated[str, typer.Argument(help="The step that waits; `run get` names it.")],
    approve: Annotated[bool | None, typer.Option("--approve/--reject", help="Asked for if left out.")] = None,
    comment: Annotated[str | None, typer.Option(help="Kept with the decision, and given to later steps.")] = None,
    as_json: AsJson = False,
) -> None:
    """Approve or reject a step that waits for a person. One that wants a person's own word asks on the terminal."""
    if approve is None and not output.on_terminal("stdin"):
        raise InputError("Nothing was decided; there is no terminal to ask on; add --approve or --reject.")
    told = with_app(lambda app: _decide(app, run_id, step, approve, comment), only_look=True)
    if as_json:
        _document(told)
    decided = {row.step_id: row for row in told.steps}[step]
    word = "Approved" if decided.output["approved"] else "Rejected"
    output.say(f"{word} {step}. The run is {told.status.value}; see it with: vel-tutor-mcp run get {run_id} --wait 60")


async def _follow(app: "App", run_id: str, seconds: float, tell: "output.Tell | None") -> "ToldRun":
    if not seconds:
        return await app.runs.tell(app.local_principal, run_id)
    return await waited_for(lambda left: app.runs.follow(app.local_principal, run_id, left, tell), seconds)


async def _decide(app: "App", run_id: str, step: str, approve: bool | None, comment: str | None) -> "ToldRun":
    me = app.local_principal
    _, waiting = await app.runs.asked(me, run_id, step)
    if approve is None or waiting.insists:
        approve = _asked_here((waiting.seen or {})["prompt"], approve)
    # Without a terminal it may be anyone's: a script's, or that of a model with a shell.
    how = How.TERMINAL if output.on_terminal("stdin") else How.RELAYED
    await app.runs.decide(me, run_id, step, how, comment, approve=approve)
    return await app.runs.tell(me, run_id)


def _asked_here(question: str, approve: bool | None) -> bool:
    """The person's own word: what is given as an option might be a program's."""
    if not output.on_terminal("stdin"):
        raise Conflict(
            "Nothing was decided; this step takes a person's own word only, and there is no terminal to ask on; run "
            "this command in a terminal."
        )
    output.say(question)
    if approve is None:
        return typer.confirm("Approve?", err=True)
    if not typer.confirm("Approve this?" if approve else "Reject this?", err=True):
        raise Conflict("Nothing was decided; you did not confirm it; run the command again when you want to.")
    return approve


def _tell_standing(told: "ToldRun", *, as_json: bool) -> None:
    from vel_tutor_mcp.services.run_reports import output_of, waiting

    given = output_of(told)
    if as_json:
        _document(told)
    elif told.status is TaskStatus.COMPLETED and given is not None:
        output.result(answer_text(given))
    else:
        output.rows(
            _STEPS, ((row.step_id, row.status.value, row.error.message if row.error else "") for row in told.steps)
        )
    for step in waiting(told):
        output.say(f"{step.step_id} asks: {(step.seen or {})['prompt']}")
        output.say(f"Decide it with: vel-tutor-mcp run decide {told.run.id} {step.step_id} --approve (or --reject)")
    if told.run.error:
        output.say(f"vel-tutor-mcp: {told.run.error.message}")
    output.say(f"[{told.status.value}, ${told.cost_nanousd / 10**9:.6f}, run {told.run.id}]")
    if code := code_of(told.status, told.run.error):
        raise typer.Exit(code)


def _document(told: "ToldRun") -> None:
    from vel_tutor_mcp.services.run_reports import full_run

    output.document(full_run(told))


def _cells(run: Run) -> tuple[str, ...]:
    return run.id, run.status.value, run.workflow_name, run.created_at.isoformat(timespec="seconds")
