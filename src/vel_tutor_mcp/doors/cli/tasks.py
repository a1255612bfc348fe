"""`task`: the daily work from the shell. What is submitted here is done by this command's own process.

The exit code tells how the task stands: 0 only where its answer is on stdout.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vel_tutor_mcp import errors
from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column, Cursor, Limit
from vel_tutor_mcp.doors.cli.product import waited_for, with_app
from vel_tutor_mcp.doors.reply import EXIT_CODES, answer_text
from vel_tutor_mcp.errors import InputError, Unavailable, VelError
from vel_tutor_mcp.models import (
    MAX_PROMPT_CHARACTERS,
    Page,
    Priority,
    Task,
    TaskError,
    TaskRequest,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.task_lists import ListedTask, TaskFilter

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.reports import Told

commands = typer.Typer(no_args_is_help=True, help="Give tasks to agents, look at them, stop them.")

TaskId = Annotated[str, typer.Argument(metavar="ID", help="As `task submit` and `task list` tell.")]
Wait = Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the end.")]

CANCELLED = 79  # the first that sysexits.h leaves free
INTERRUPTED = 130
_FROM_STDIN = "-"
_MOST_BYTES_OF_A_CHARACTER = 4
# Another process sees within a second that its task is to be stopped.
_STOP_SECONDS = 5.0
COLUMNS = (Column("id"), Column("status"), Column("agent", share=1), Column("prompt", share=2))
_ONLY_LOOK = "Look at it with: vel-tutor-mcp task get {id} --wait 60"


@commands.command()
def submit(
    prompt: Annotated[str, typer.Argument(help="What the agent should do; - reads it from stdin.")],
    agent: Annotated[str, typer.Option(help="Its name or id.")] = "default",
    task_type: Annotated[TaskType | None, typer.Option("--type", help="Inferred if left out.")] = None,
    priority: Annotated[Priority, typer.Option(help="Whose turn it is, where tasks wait.")] = Priority.MEDIUM,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Hard limit, all attempts together.")] = None,
    parameters: Annotated[str, typer.Option(metavar="JSON", help="Data sent with the prompt, an object.")] = "{}",
    schema: Annotated[Path | None, typer.Option(help="A file with the JSON Schema the answer must match.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key never starts a second task.")] = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Give a task to an agent and print its answer. Waits for the end unless told how long; --wait 0 prints the id."""
    request = TaskRequest(
        prompt=prompt_of(prompt),
        agent=agent,
        task_type=task_type,
        priority=priority,
        parameters=json_object(parameters, "The value of --parameters"),
        response_schema=json_object(_text_of(schema), f"The schema {schema}") if schema else None,
        max_cost_usd=max_cost,
        idempotency_key=idempotency_key,
    )
    # Filled on the way: after Ctrl-C there is no result that could tell the id.
    submitted: list[str] = []
    try:
        told = with_app(lambda app: _submit(app, request, wait, submitted), only_look=wait == 0, guest=True)
    except KeyboardInterrupt:
        _tell_interrupted(submitted)
        raise typer.Exit(INTERRUPTED) from None
    if wait == 0 and not told.task.status.ended:
        _tell_submitted(told, as_json=as_json)
        return
    _tell_standing(told, as_json=as_json)


@commands.command()
def get(
    task_id: TaskId,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Print a task's answer, or how it stands; with --wait this process also does what waits to be done."""
    with output.progress("looking") as tell:
        told = with_app(lambda app: _follow(app, task_id, wait, tell), only_look=not wait)
    _tell_standing(told, as_json=as_json)


@commands.command("list")
def list_tasks(
    status: Annotated[TaskStatus | None, typer.Option(help="Only those of this status.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of this agent, by name or id.")] = None,
    query: Annotated[str | None, typer.Option(help="Text in the prompt.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first: a table, or tab-separated lines in a pipe."""
    from vel_tutor_mcp.services.reports import short_task

    wanted = TaskFilter(status=status, agent=agent, query=query)

    async def page_of(app: "App") -> Page[ListedTask]:
        return await app.tasks.list(app.local_principal, wanted, limit=limit, cursor=cursor)

    page = with_app(page_of, only_look=True)
    output.listed("tasks", page, COLUMNS, cells, short_task, as_json=as_json)


@commands.command()
def cancel(
    task_id: TaskId,
    as_json: AsJson = False,
) -> None:
    """Stop a task now, also in the middle of an answer and in another process; the text that had arrived is kept."""
    from vel_tutor_mcp.services.reports import full_task

    told = with_app(lambda app: _cancel(app, task_id), only_look=True)
    if as_json:
        output.document(full_task(told))
    output.say(cancelled_line(told.task))


async def _submit(app: "App", request: TaskRequest, wait: float | None, submitted: list[str]) -> "Told":
    with output.progress("submitting") as tell:
        task = await app.tasks.submit(app.local_principal, request)
        submitted.append(task.id)
        return await _follow(app, task.id, wait, tell)


async def _follow(app: "App", task_id: str, seconds: float | None, tell: "output.Tell | None") -> "Told":
    return await waited_for(lambda left: app.tasks.follow(app.local_principal, task_id, left, tell), seconds)


async def _cancel(app: "App", task_id: str) -> "Told":
    told = await app.tasks.cancel(app.local_principal, task_id)
    return told if told.task.status.ended else await _follow(app, task_id, _STOP_SECONDS, None)


def _tell_interrupted(submitted: list[str]) -> None:
    if not submitted:
        output.say("Stopped before the task was submitted, or just then; see: vel-tutor-mcp task list")
        return
    (task_id,) = submitted
    output.say(
        f"No longer waiting for task {task_id}, which is kept; a running server or worker goes on with it, or the next "
        f"one started. {_ONLY_LOOK.format(id=task_id)}"
    )


def _tell_submitted(told: "Told", *, as_json: bool) -> None:
    from vel_tutor_mcp.services.reports import full_task

    if as_json:
        output.document(full_task(told))
    else:
        output.result(told.task.id)
    output.say(
        "This command leaves now: a running server or worker takes the task over, or the next one started. "
        + _ONLY_LOOK.format(id=told.task.id)
    )


def _tell_standing(told: "Told", *, as_json: bool) -> None:
    """The answer, where there is one, on stdout; how the task stands on stderr and in the exit code."""
    from vel_tutor_mcp.services.reports import full_task

    data = full_task(told)
    if as_json:
        output.document(data)
    elif data["output"] is not None:
        output.result(answer_text(data["output"]))
    if told.task.error:
        output.say(f"vel-tutor-mcp: {told.task.error.message}")
    if told.waits:
        output.say(f"vel-tutor-mcp: {told.waits}.")
    output.say(summary(data))
    if code := code_of(told.status, told.task.error):
        raise typer.Exit(code)


def summary(data: dict[str, Any]) -> str:
    """How the task stands, in a line."""
    by = f" by {data['provider']}/{data['model']}" if data["model"] else ""
    total_ms = data["timing"]["total_ms"]
    took = f", {total_ms / 1000:.1f} s" if total_ms is not None else ""
    line = f"[{data['status']}{by}, ${data['cost_usd']:.6f}{took}, task {data['id']}]"
    return line if total_ms is not None else f"{line} {_ONLY_LOOK.format(id=data['id'])}"


def code_of(status: TaskStatus, error: TaskError | None) -> int:
    """The exit code that tells how a task or a run stands."""
    match status:
        case TaskStatus.COMPLETED:
            return 0
        case TaskStatus.CANCELLED:
            return CANCELLED
        case TaskStatus.FAILED:
            return _code_named(error.code if error else "")
        case _:
            return EXIT_CODES[Unavailable]  # try again later


def _code_named(name: str) -> int:
    """The exit code of the error whose `code` is this: of the first row that fits it, as `reply.exit_code`."""
    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VelError))
    error = next((kind for kind in kinds if kind.code == name), VelError)
    return next(code for kind, code in EXIT_CODES.items() if issubclass(error, kind))


def cancelled_line(task: Task) -> str:
    if task.status is TaskStatus.CANCELLED:
        kept = f"; the text that had arrived is kept: vel-tutor-mcp task get {task.id}" if task.output else ""
        return f"Cancelled task {task.id}{kept}"
    if task.status.ended:
        return f"Task {task.id} ended as {task.status.value} before it could be stopped"
    return f"Task {task.id} will stop as soon as the process that runs it looks. {_ONLY_LOOK.format(id=task.id)}"


def cells(task: Task | ListedTask) -> tuple[str, ...]:
    return task.id, task.status.value, task.agent_name, task.prompt


def prompt_of(argument: str) -> str:
    """The prompt that an argument stands for: itself, or what stdin holds.

    Raises:
        InputError: that is too long, or no text.
    """
    return _piped_prompt() if argument == _FROM_STDIN else argument


def _piped_prompt() -> str:
    most = MAX_PROMPT_CHARACTERS * _MOST_BYTES_OF_A_CHARACTER
    # One byte more tells that there is more; stdin may have no end.
    piped = typer.get_binary_stream("stdin").read(most + 1)
    if len(piped) > most:
        raise InputError(
            f"The prompt on stdin is too long; at most {MAX_PROMPT_CHARACTERS:,} characters are taken; shorten it."
        )
    return _utf_8(piped, "What stdin holds")


def _text_of(file: Path) -> str:
    try:
        return _utf_8(file.expanduser().read_bytes(), f"The schema {file}")
    except (OSError, RuntimeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise InputError(f"The schema {file} cannot be read; {why}; name a file with a JSON Schema.") from None


def _utf_8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")  # Windows likes to begin with a byte order mark
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text; models read nothing else; convert it.") from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """The object in the text.

    Raises:
        InputError: it holds none; `what` begins the sentence.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f'{what} is no JSON object; names and values are expected; write it like {{"name": 1}}.')
    return found
