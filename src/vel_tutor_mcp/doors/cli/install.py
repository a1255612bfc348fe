"""`install`: our server in the configuration of a client, printed, or put into the client's own file."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.clients import CLIENTS, KEYS, ClientName, Entry
from vel_tutor_mcp.errors import ConfigurationError, Conflict, InputError

_PATHS = ("VEL_TUTOR_HOME", "VEL_TUTOR_CONFIG")
_COMMAND = "vel-tutor-mcp"
# What `uvx` makes for one run lies there, and is gone some day.
_FOR_ONE_RUN = "archive-v0"


def install(
    name: Annotated[ClientName, typer.Argument(metavar="CLIENT", help=f"{', '.join(CLIENTS)}.")],
    write: Annotated[bool, typer.Option("--write", help="Put it into the client's file, and keep a copy.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="With the providers' keys that are set here.")] = False,
) -> None:
    """Print a client's configuration for this server, or merge it into the client's own file with --write."""
    client, variables = CLIENTS[name], os.environ
    try:
        file = client.file(variables)
    except RuntimeError:
        raise ConfigurationError(
            f"It is not known where {client.title} keeps its servers; this user has no home folder; set HOME."
        ) from None
    entry = _entry(variables, keys=keys)
    if write:
        output.say(_merge(file, client.title, lambda text: client.with_server(text, file, entry)))
    else:
        output.result(client.with_server("", file, entry).rstrip("\n"))
        output.say(f"Put it into {file}, or run this again with --write.")
    if withheld := _withheld(variables, entry):
        output.say(
            f"Not written, for they may be secret: {', '.join(withheld)}; where the client does not hand them on, add "
            "them to its `env`, or use --keys for the providers' keys."
        )


def _entry(variables: Mapping[str, str], *, keys: bool) -> Entry:
    program, *arguments = _command()
    wanted = {name: str(Path(variables[name]).absolute()) for name in _PATHS if variables.get(name)}
    if keys:
        wanted |= {name: variables[name] for name in KEYS if variables.get(name)}
    return {"command": program, "args": arguments, **({"env": wanted} if wanted else {})}


def _command() -> list[str]:
    """How to start this program from anywhere: clients start servers in a foreign folder, with hardly a PATH."""
    if _FOR_ONE_RUN in Path(sys.prefix).parts and (uvx := shutil.which("uvx")):
        return [uvx, _COMMAND]
    script = shutil.which(sys.argv[0])
    if script and Path(script).stem == _COMMAND:
        return [str(Path(script).absolute())]
    return [sys.executable, "-m", "vel_tutor_mcp"]


def _withheld(variables: Mapping[str, str], entry: Entry) -> list[str]:
    ours = (name for name in variables if name in KEYS or name.startswith("VEL_TUTOR_"))
    return sorted(name for name in ours if name not in entry.get("env", {}))


def _merge(file: Path, title: str, change: Callable[[str], str]) -> str:
    """Change the text of the file, with a copy of it kept; what there is to say of it.

    Raises:
        ConfigurationError: the client is not there, or its file cannot be read or written. InputError: the file is not
        in order. Conflict: somebody else writes to it.
    """
    from vel_tutor_mcp.auth import key_files

    file = Path(os.path.realpath(file))  # a link of the user's stays one
    if not file.parent.is_dir():
        raise ConfigurationError(
            f"{title} was not found; there is no folder {file.parent}; start it once, or put what this prints without "
            "--write where it keeps its servers."
        )
    try:
        before = _content(file)
        after = change(_text(before, file)).encode()
        if after == before:
            return f"{file} has it already."
        if before is None:
            key_files.write(file, after)
            return f"It is in {file}, which is new. Restart {title}."
        _check_writable(file)
        backup = file.with_name(f"{file.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}.bak")
        shutil.copy2(file, backup)
        # As late as can be: clients write to their files while they run, and know of no lock.
        if _content(file) != before:
            raise Conflict(f"{file} was not written; {title} has changed it meanwhile; close it and try again.")
        key_files.write(file, after)
        # `write` makes a file that its owner alone may read, as keys are kept.
        shutil.copymode(backup, file)
    except OSError as problem:
        raise ConfigurationError(
            f"{file} cannot be changed; {problem.strerror}; put what this prints without --write into it yourself."
        ) from problem
    return f"It is in {file}; as it was before it is {backup}. Restart {title}."


def _check_writable(file: Path) -> None:
    """Renaming another over it would succeed, against what its owner wants."""
    if not file.stat().st_mode & stat.S_IWUSR:
        raise ConfigurationError(
            f"{file} cannot be changed; it is read-only; allow its owner to write to it, or put what this prints "
            "without --write into it yourself."
        )


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _text(content: bytes | None, file: Path) -> str:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError:
        raise InputError(f"{file} cannot be changed; it is no UTF-8 text; save it as that first.") from None
