"""Processes of the product. Python takes two seconds of a core to start one: where it can be, they are forked off one
that has loaded the product (see `forker`). What is about starting itself asks for one `anew`.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import forker

import vel_tutor_mcp

COMMAND = (sys.executable, "-m", "vel_tutor_mcp")
# Heeds Ctrl-C, which is ignored by what a shell starts in the background, as a test run may be.
_HEEDING = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
HEEDING_CTRL_C = (sys.executable, "-c", f"{_HEEDING}runpy.run_module('vel_tutor_mcp', run_name='__main__')")
_LONGEST_LINE = 1 << 26
_PATH = "PYTHONPATH"
SOURCES = str(Path(vel_tutor_mcp.__file__).parents[1])
# What these say is heeded before the product is loaded.
_OF_PYTHON = ("PYTHON", "COVERAGE_", "COV_CORE_")


def without(streams: str, *arguments: str) -> tuple[str, ...]:
    """A command whose streams are closed as a shell does it, such as `>&-`."""
    return ("sh", "-c", f'exec "$@" {streams}', "sh", *COMMAND, *arguments)


class _Forker:
    """This worker's; it is started for the first process that is asked for."""

    ends: ExitStack | None = None
    process: "subprocess.Popen[bytes]"
    control: socket.socket | None = None


@contextmanager
def forking() -> Iterator[None]:
    """Within, processes of the product may be forked."""
    with ExitStack() as _Forker.ends:
        yield
    _Forker.ends = _Forker.control = None


class Forked:
    """A process that was forked: what tests use of asyncio's `Process`."""

    def __init__(
        self,
        pid: int,
        told: asyncio.StreamReader,
        stdin: asyncio.WriteTransport,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._ending = asyncio.create_task(self._end(told))

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    async def communicate(self, data: bytes = b"") -> tuple[bytes, bytes | None]:
        self.stdin.write(data)
        self.stdin.close()
        out, err, _ = await asyncio.gather(self.stdout.read(), self._errors(), self.wait())
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _errors(self) -> bytes | None:
        return await self.stderr.read() if self.stderr else None

    async def _end(self, told: asyncio.StreamReader) -> int:
        self.returncode = int(await told.read())
        self.stdin.close()
        return self.returncode


Process = asyncio.subprocess.Process | Forked


async def begin(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], *, stderr: int = PIPE, anew: bool = False
) -> Process:
    """A process with pipes for its streams, but for `stderr` where that is a descriptor."""
    for words in (COMMAND, HEEDING_CTRL_C):
        if not anew and tuple(command[: len(words)]) == words and _may_fork(environment):
            return await _fork(command[len(words) :], cwd, environment, stderr)
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=stderr, cwd=cwd, env=environment, limit=_LONGEST_LINE
    )


def _may_fork(environment: Mapping[str, str]) -> bool:
    heeded = [name for name in environment if name.startswith(_OF_PYTHON) and name != _PATH]
    # The forker has loaded the product from there: a copy of it, as tests make one, is another product.
    is_ours = environment.get(_PATH) == SOURCES
    return _Forker.ends is not None and hasattr(os, "fork") and not heeded and is_ours


def fork_onto(descriptors: list[int], wanted: bytes, environment: Mapping[str, str]) -> None:
    """Have a process forked: its streams, and where its number and exit code are told; all are closed here."""
    control = _control(environment)
    try:
        socket.send_fds(control, [len(wanted).to_bytes(forker.LENGTH_BYTES)], descriptors)
        control.sendall(wanted)
    except BrokenPipeError:
        raise AssertionError(_Forker.process.communicate()) from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def _fork(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], stderr: int) -> Forked:
    (told, tell), (stdin, writer), (reader, stdout) = os.pipe(), os.pipe(), os.pipe()
    errors, error = os.pipe() if stderr == PIPE else (None, os.dup(stderr))
    wanted = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}).encode()
    fork_onto([stdin, stdout, error, tell], wanted, environment)
    ends = await _lines(told)
    pid = await ends.readline()
    assert pid, _Forker.process.communicate()
    return Forked(int(pid), ends, await _input(writer), await _lines(reader), await _lines(errors) if errors else None)


def _control(environment: Mapping[str, str]) -> socket.socket:
    if _Forker.control is None:
        assert _Forker.ends is not None
        ours, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-P", forker.__file__, str(theirs.fileno())]
            told = {name: environment[name] for name in ("PATH", _PATH)} | {"OPENBLAS_NUM_THREADS": "1"}
            # Pipes, for what it forks writes to streams that were made for these.
            _Forker.process = subprocess.Popen(
                program, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=told, pass_fds=[theirs.fileno()]
            )
        _Forker.ends.enter_context(_Forker.process)  # waits for its end
        _Forker.control = _Forker.ends.enter_context(ours)
    return _Forker.control


async def _lines(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader


async def _input(descriptor: int) -> asyncio.WriteTransport:
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(descriptor, "wb", 0)
    )
    return transport
