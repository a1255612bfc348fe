"""The command line. Serving over stdio with no option does not pass through here: see `__main__`."""

import sys
from typing import Annotated, NoReturn

import typer

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors.cli import checks, database, serving, tasks
from vel_tutor_mcp.doors.reply import exit_code, sentence
from vel_tutor_mcp.errors import VelError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(serving.serve)
app.command()(serving.worker)
app.command()(checks.doctor)
app.add_typer(tasks.commands, name="task")
app.add_typer(database.commands, name="db")

_NOT_WRITTEN = 74  # as in sysexits.h


def run() -> None:
    """Run the command in `sys.argv`; a failure is one sentence on stderr and an exit code of its kind."""
    try:
        app(prog_name="vel-tutor-mcp")
    except VelError as problem:
        _leave(sentence(problem), exit_code(problem))
    except OSError as problem:  # of the streams: what is done in the product is told as a VelError
        _leave(f"The output could not be written; {problem.strerror}; the task list has what was done.", _NOT_WRITTEN)


def _leave(words: str, code: int) -> NoReturn:
    print(f"vel-tutor-mcp: {words}", file=sys.stderr)  # noqa: T201 - the command line's own voice
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vel-tutor-mcp {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The control desk of a team of AI agents, as an MCP server. With no command: serve MCP over stdio."""


@app.command()
def demo() -> None:
    """Show the main job from end to end against simulated providers, without any key, in about a minute."""
    from vel_tutor_mcp.demo import run as run_demo

    run_demo()
