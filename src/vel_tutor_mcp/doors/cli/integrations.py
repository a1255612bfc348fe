"""`integration`: what whoever runs the server does for owners' stored keys."""

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson
from vel_tutor_mcp.doors.cli.product import with_app

commands = typer.Typer(no_args_is_help=True, help="Look after the keys that owners have stored.")

NOT_ALL = 1


@commands.callback()
def group() -> None:
    """Keep `rotate` a word of its own: Typer makes an only command the whole group."""


@commands.command()
def rotate(as_json: AsJson = False) -> None:
    """Seal every stored key anew by the first of the secret keys; safe to stop, to repeat, and beside servers."""
    done = with_app(lambda app: app.integrations.rotate(app.local_principal), only_look=True)
    if as_json:
        output.document({"sealed": done.sealed, "current": done.current, "unopened": list(done.unopened)})
    for problem in done.unopened:
        output.say(problem)
    output.say(
        f"{done.sealed} keys were sealed anew, {done.current} were already, {len(done.unopened)} cannot be opened."
    )
    raise typer.Exit(NOT_ALL if done.unopened else 0)
