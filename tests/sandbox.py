"""The blocks of a page, run in order in one shell, in a home that is nobody's.

The product is the real one, and what it calls are simulated providers. What stands in a page for an address of the
reader's is replaced by one that is there.
"""

import asyncio
import os
import re
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import forked_command
import processes
from code_blocks import ROOT, Block
from planted import PASSWORD
from server import environment, soon, unmeasured

PAGE_SECONDS = 100
# What pages take for granted that speak to a server: its address in VEL, and an administrator's token in TOKEN.
_SERVER = """
vel-tutor-mcp serve --transport http --port "${{VEL##*:}}" > {out} 2>&1 &
until curl -sf "$VEL/api/health" > /dev/null; do sleep 0.1; done
vel-tutor-mcp user create "$EMAIL" --role admin < {typed} > {out} 2>&1
export TOKEN=$(vel-tutor-mcp token issue docs --user "$EMAIL" 2> {out})
"""


@dataclass(frozen=True)
class Sandbox:
    """`replaced` are patterns, and what is put in their place; `database` is where SQL is run."""

    folder: Path
    variables: Mapping[str, str]
    replaced: Mapping[str, str]
    database: str

    async def run(self, blocks: Sequence[Block]) -> None:
        """Run them all; fails at the first that fails, or prints other things than the page shows."""
        steps = [step for number, block in enumerate(blocks) for step in self._steps(number, block)]
        if any(re.search(r"\$(VEL|TOKEN)\b", block.text) for block in blocks):
            steps.insert(0, _SERVER.format(typed=self._kept("typed"), out=self._kept("server.out")))
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euc", "\n".join(steps), cwd=self.folder, env=self.variables, start_new_session=True
        )
        try:
            code = await soon(shell.wait(), PAGE_SECONDS)
        finally:
            with suppress(ProcessLookupError):  # nothing stays in the background
                os.killpg(shell.pid, signal.SIGTERM)
        if code:
            number = int(self._kept("at").read_text())
            raise AssertionError(f"{blocks[number].place} ended with {code}:\n{self._told(number)}")
        for number, block in enumerate(blocks):
            self._compare(number, block)

    def keep(self, name: str, text: str) -> None:
        """A file of the home, for its owner alone."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def _steps(self, number: int, block: Block) -> list[str]:
        """The lines of the shell that run a block."""
        begin = f"echo {number} > {self._kept('at')}"
        parts = [text for text, _ in block.conversation()] if block.language == "console" else [block.text]
        return [begin, *(self._step(f"{number}.{part}", block, text) for part, text in enumerate(parts))]

    def _step(self, name: str, block: Block, text: str) -> str:
        for pattern, value in self.replaced.items():
            text = re.sub(pattern, value, text)
        script = self._kept(f"{name}.{block.language}")
        script.write_text(text)
        streams = f"< {self._kept('typed')} > {self._kept(f'{name}.out')} 2>&1"
        match block.language:
            case _ if block.file:
                return f"cp {script} {block.file}"
            case "python":
                return f"{sys.executable} {script} {streams}"
            case "sql":
                return f"psql -X -q -v ON_ERROR_STOP=1 -f {script} '{self.database}' {streams}"
            case "console":  # how it ends is not shown, what it prints is
                return f"source {script} {streams} || true"
            case _ if block.mark == "background":
                return f"source {script} {streams} &\n{_until_it_answers(text)}"
            case _:
                return f"source {script} {streams}"

    def _compare(self, number: int, block: Block) -> None:
        told = [self._kept(f"{number}.{part}.out") for part in range(len(block.conversation()))]
        for file, (command, shown) in zip(told, block.conversation(), strict=True):
            pattern = ".*".join(re.escape(part) for part in shown.rstrip("\n").split("..."))
            printed = file.read_text().rstrip("\n")
            assert re.fullmatch(pattern, printed, re.DOTALL), f"{block.place}: {command}\n{printed}"

    def _told(self, number: int) -> str:
        return "\n".join(file.read_text() for file in sorted(self._kept("").glob(f"{number}.*.out")))

    def _kept(self, name: str) -> Path:
        return self.folder.parent / "steps" / name


def _until_it_answers(script: str) -> str:
    """Of a server that was begun: wait until it is open."""
    port = re.search(r"--port (\d+)", script)
    return f"until curl -sf http://127.0.0.1:{port[1]}/api/health; do sleep 0.1; done > {os.devnull}" if port else ""


@asynccontextmanager
async def sandbox(
    variables: Mapping[str, str], replaced: Mapping[str, str], database: str = ""
) -> AsyncIterator[Sandbox]:
    """Where pages print keys and tokens it is not for `leaks` to search: the folder is none of the suite's."""
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for made in ("home", "bin", "steps"):
            (folder / made).mkdir()
        (folder / "steps" / "typed").write_text(f"{PASSWORD}\n")
        (folder / "steps" / "at").write_text("0")
        known = {**unmeasured(environment(folder / "home", variables)), "PASSWORD": PASSWORD}
        known["PATH"] = os.pathsep.join([str(folder / "bin"), known["PATH"]])
        _program(
            folder / "bin" / "make",
            ["make", "--dry-run", "--directory", ROOT],
            f"PATH={shlex.quote(os.environ['PATH'])}",
        )
        async with _product(folder, known):
            yield Sandbox(folder / "home", known, replaced, database)


def _program(file: Path, command: Sequence[str | Path], first: str = "") -> None:
    file.write_text(f'#!/bin/bash\n{first}\nexec {shlex.join(map(str, command))} "$@"\n')
    file.chmod(0o755)


@asynccontextmanager
async def _product(folder: Path, known: Mapping[str, str]) -> AsyncIterator[None]:
    """`vel-tutor-mcp` on the PATH; at the end, all that was begun by it has ended."""
    program, typed = folder / "bin" / "vel-tutor-mcp", folder / "steps" / "typed"
    typed_anew = f"[[ /dev/stdin -ef {typed} ]] && exec < {typed}"  # each is asked by itself
    asked = folder / "asked"
    _program(program, [sys.executable, "-IS", forked_command.__file__, asked], typed_anew)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(asked))
        door.listen()
        door.settimeout(0)
        begun: list[asyncio.Task[None]] = []
        taking = asyncio.create_task(_take(door, known, begun))
        try:
            yield
        finally:
            await soon(asyncio.gather(*begun))
            taking.cancel()


async def _take(door: socket.socket, known: Mapping[str, str], begun: list[asyncio.Task[None]]) -> None:
    while True:
        asker, _ = await asyncio.get_running_loop().sock_accept(door)
        begun.append(asyncio.create_task(_pass_on(asker, known)))


async def _pass_on(asker: socket.socket, known: Mapping[str, str]) -> None:
    """Have forked what the command asks for, and wait until it is gone."""
    with asker:
        asker.settimeout(None)  # it sends all of it at once
        length, descriptors, *_ = socket.recv_fds(asker, forked_command.LENGTH_BYTES, 4)
        wanted = asker.recv(int.from_bytes(length), socket.MSG_WAITALL)
        processes.fork_onto(descriptors, wanted, known)
        asker.settimeout(0)
        await asyncio.get_running_loop().sock_recv(asker, 1)
