"""The program of this name in the place of ours: the same, but a server over stdio notes what its client says."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from negotiated import Notes

_PROGRAM = """#!{python}
import os, sys
sys.path[:0] = {path!r}
os.environ.update({variables!r})
from tee import run
run({notes!r})
"""


def placed(folder: Path, notes: Path, variables: Mapping[str, str]) -> Path:
    """The program, in a folder: what it starts is told the variables, whatever its client hands on."""
    path = [str(Path(__file__).parent), variables["PYTHONPATH"]]
    program = folder / "vel-tutor-mcp"
    program.write_text(_PROGRAM.format(python=sys.executable, path=path, variables=dict(variables), notes=str(notes)))
    program.chmod(0o755)
    return program


def run(notes: str) -> None:
    if len(sys.argv) > 1:
        from vel_tutor_mcp.__main__ import main  # a server is started quickly, for clients do not wait long

        main()
        return
    server = subprocess.Popen([sys.executable, "-m", "vel_tutor_mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin
    assert server.stdout
    pump = (server.stdout, sys.stdout.buffer, Notes(Path(notes)))
    threading.Thread(target=_pass_on, args=pump, daemon=True).start()
    _pass_on(sys.stdin.buffer, server.stdin, Notes(Path(notes)))
    server.stdin.close()
    sys.exit(server.wait())


def _pass_on(source: IO[bytes], target: IO[bytes], notes: Notes) -> None:
    for line in source:
        notes.hear(line)
        target.write(line)
        target.flush()
