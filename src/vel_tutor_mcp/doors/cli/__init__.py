"""The command line. Serving over stdio with no option does not pass through here: see `__main__`."""

import sys
from typing import Annotated

import typer

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors import process
from vel_tutor_mcp.doors.cli import (
    accounts,
    audit,
    budget,
    checks,
    comparing,
    database,
    install,
    integrations,
    routes,
    runs,
    serving,
    tasks,
    webhooks,
)
from vel_tutor_mcp.doors.reply import exit_code, sentence
from vel_tutor_mcp.errors import VelError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(serving.serve)
app.command()(serving.worker)
app.command()(checks.doctor)
app.command()(install.install)
app.add_typer(tasks.commands, name="task")
app.add_typer(runs.commands, name="run")
app.command()(comparing.compare)
app.add_typer(budget.commands, name="budget")
app.add_typer(integrations.commands, name="integration")
app.add_typer(webhooks.commands, name="webhook")
app.add_typer(audit.commands, name="audit")
app.add_typer(accounts.users, name="user")
app.add_typer(accounts.tokens, name="token")
app.add_typer(database.commands, name="db")
app.add_typer(routes.commands, name="route")

NOT_WRITTEN = 74  # as in sysexits.h


def run() -> None:
    """Run the command in `sys.argv`; a failure is one sentence on stderr and an exit code of its kind."""
    try:
        app(prog_name="vel-tutor-mcp")
    except VelError as problem:
        process.say(sentence(problem))
        sys.exit(exit_code(problem))
    except OSError as problem:  # of the streams: what is done in the product is told as a VelError
        process.say(f"The output could not be written; {problem.strerror}; `task list` has what was done.")
        process.leave(NOT_WRITTEN)  # the interpreter would try to write the rest once more, and say so


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
def demo(
    live: Annotated[
        bool, typer.Option("--live", help="On the real providers whose keys are set, for at most $0.05.")
    ] = False,
) -> None:
    """Show the main job from end to end against simulated providers, without any key, in about a minute."""
    from vel_tutor_mcp.demo import run as run_demo

    run_demo(live=live)
