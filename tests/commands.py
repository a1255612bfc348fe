"""Commands of the real command line as processes of their own: what they print, and how they end."""

import json
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heard import note
from processes import HEEDING_CTRL_C, Process, begin
from server import WAIT_SECONDS, environment, soon


@dataclass(frozen=True)
class Ended:
    """What a command left behind; `stdout` as text of any platform."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Command:
    """A command that runs."""

    def __init__(self, process: Process, words: tuple[str, ...]) -> None:
        self._process = process
        self._words = words

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()

    async def says(self, words: str) -> None:
        """Wait until these words are in a line on stderr, which then is not in what the command leaves behind."""
        assert self._process.stderr is not None
        while words.encode() not in (line := await soon(self._process.stderr.readline())):
            note(line)
            assert line, f"it ended without a word of {words!r}"

    async def ended(self, stdin: bytes = b"", seconds: float = WAIT_SECONDS) -> Ended:
        out, err = await soon(self._process.communicate(stdin), seconds)
        note(out, of=" ".join(self._words[:2]))
        note(err or b"")
        assert self._process.returncode is not None
        return Ended(self._process.returncode, *(text.decode().replace("\r\n", "\n") for text in (out, err or b"")))


@asynccontextmanager
async def started(
    folder: Path, values: Mapping[str, str], *arguments: str, stderr: int = PIPE
) -> AsyncIterator[Command]:
    """A command with its home in the folder; killed where the context is left before it ended."""
    process = await begin([*HEEDING_CTRL_C, *arguments], folder, environment(folder, values), stderr=stderr)
    try:
        yield Command(process, arguments)
    finally:
        if process.returncode is None:
            process.kill()
            await soon(process.communicate())


async def run(
    folder: Path, values: Mapping[str, str], *arguments: str, stdin: bytes = b"", seconds: float = WAIT_SECONDS
) -> Ended:
    async with started(folder, values, *arguments) as command:
        return await command.ended(stdin, seconds)
