"""`audit`: the trail of what was done, proven and handed out, from the shell."""

from typing import TYPE_CHECKING, Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.product import with_app

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.audit_verdict import Verdict

commands = typer.Typer(no_args_is_help=True, help="Prove the audit trail, and export it.")

BROKEN = 1

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@commands.command()
def verify(as_json: AsJson = False) -> None:
    """Prove that no entry was changed, removed, swapped or added; else name the first that was, with exit code 1."""

    async def verdict_of(app: "App") -> "Verdict":
        return await app.audit.verify()

    verdict = with_app(verdict_of, only_look=True)
    if as_json:
        output.document(verdict.shown())
    else:
        output.result(verdict.sentences())
    raise typer.Exit(0 if verdict.ok else BROKEN)


@commands.command()
def key(as_json: AsJson = False) -> None:
    """Print the public key by which others can check what this installation signs; made where there is none yet."""
    from vel_tutor_mcp.services.audit_keys import Keys, key_id
    from vel_tutor_mcp.settings import load_settings

    public_key = Keys(load_settings()).signer().public_key
    if as_json:
        output.document({"public_key": public_key, "id": key_id(public_key)})
    else:
        output.result(public_key)
        output.say(f"Its id is {key_id(public_key)}.")
