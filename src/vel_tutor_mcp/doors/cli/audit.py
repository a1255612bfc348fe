"""`audit`: the trail of what was done, proven and handed out, from the shell."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson
from vel_tutor_mcp.doors.cli.product import with_app
from vel_tutor_mcp.errors import InputError

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.audit.export import Write
    from vel_tutor_mcp.services.audit.verdict import Verdict

commands = typer.Typer(no_args_is_help=True, help="Prove the audit trail, and export it.")

BROKEN = 1
_SAID = {"whole": "the whole chain", "filtered": "what the filter let through, and so no chain"}


@commands.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export or an archive; left out: the database.")] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="PUBLIC-KEY", help="The file must be signed by it; may be given several times."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no entry was changed, removed, swapped or added; else name the first that was, with exit code 1."""
    verdict = with_app(_verdict_of, only_look=True) if file is None else _verdict_of_file(file, keys or [])
    if as_json:
        output.document(verdict.shown())
    else:
        output.result(verdict.sentences())
    raise typer.Exit(0 if verdict.ok else BROKEN)


async def _verdict_of(app: "App") -> "Verdict":
    return await app.audit.verify(app.local_principal, with_archives=True)


def _verdict_of_file(file: Path, keys: list[str]) -> "Verdict":
    from vel_tutor_mcp.services.audit.files import of_file
    from vel_tutor_mcp.services.audit.keys import public_key

    return of_file(file, frozenset(filter(None, map(public_key, keys))) or None)


@commands.command()
def export(
    form: Annotated[
        Literal["jsonl", "csv"], typer.Option("--format", help="jsonl can be proven; csv is for tables.")
    ] = "jsonl",
    to: Annotated[Path | None, typer.Option("--output", help="The file; left out: stdout.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as task_submitted.")] = None,
    principal: Annotated[str | None, typer.Option(help="Who acted.")] = None,
    subject: Annotated[str | None, typer.Option(help="Such as task:ID.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, inclusive.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, exclusive.")] = None,
) -> None:
    """Write the entries, oldest first; the whole chain, signed up to its end, unless something is filtered."""
    with _written_to(to) as write:
        exported = with_app(
            lambda app: app.audit.export(
                app.local_principal,
                form,
                write,
                action=action,
                principal=principal,
                subject=subject,
                since=since,
                until=until,
            ),
            only_look=True,
        )
    output.say(f"Exported: {_SAID[exported.part]}, up to entry {exported.last}.")


@contextmanager
def _written_to(file: Path | None) -> "Iterator[Write]":
    if file is None:
        yield lambda text: output.result(text.removesuffix("\n"))
        return
    try:
        draft = _draft_for(file)
        stream = (draft or file).open("w", encoding="utf-8", newline="\n")
    except OSError as problem:
        raise InputError(
            f"Nothing was exported; {file}: {problem.strerror}; name another file with --output."
        ) from None
    with _put_in_place(draft, file), stream:
        yield stream.write


def _draft_for(file: Path) -> Path | None:
    """What is written in the place of the file, which an export that fails would else have emptied. None for what is no
    file, such as a device: it keeps nothing that could be lost.

    Raises:
        OSError: the file may not be changed.
    """
    if file.exists() and not file.is_file():
        return None
    real = Path(os.path.realpath(file))  # a link of the user's stays one
    draft = real.with_name(f"{real.name}.draft")
    if file.exists():
        file.open("r+").close()  # renaming another over it would succeed, against what its owner wants
        draft.touch()
        shutil.copymode(file, draft)
    return draft


@contextmanager
def _put_in_place(draft: Path | None, file: Path) -> Iterator[None]:
    if draft is None:
        yield
        return
    try:
        yield
        draft.replace(os.path.realpath(file))
    finally:
        draft.unlink(missing_ok=True)


@commands.command()
def key(as_json: AsJson = False) -> None:
    """Print the public key by which others can check what this installation signs; made where there is none yet."""
    from vel_tutor_mcp.services.audit.keys import Keys, key_id
    from vel_tutor_mcp.settings import load_settings

    public_key = Keys(load_settings()).signer().public_key
    if as_json:
        output.document({"public_key": public_key, "id": key_id(public_key)})
    else:
        output.result(public_key)
        output.say(f"Its id is {key_id(public_key)}.")
