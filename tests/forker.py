"""A program for tests: it has loaded the product, and forks a process of it whenever it is asked to.

Such a process is one of its own, with the arguments, streams, folder and environment that were asked for, and does all
that follows on loading: a fifth of the work of one that Python starts. See `processes`.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NoReturn

import vel_tutor_mcp

# What the product loads late of others.
LATE = (
    *("aiosqlite", "alembic.command", "anyio._backends._asyncio", "asyncpg", "dbos._sys_db_sqlite"),
    *("genai_prices.data", "numpy.random", "openai.resources.chat", "psycopg", "rich.logging"),
)
LENGTH_BYTES = 4
_STREAMS = 3


def load() -> None:
    for module in pkgutil.walk_packages(vel_tutor_mcp.__path__, "vel_tutor_mcp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or a collection would write to every page that is shared


class Forker:
    """Reads from a socket what is asked for; who asked is told how each process ends, on a pipe that came with it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._told: dict[int, int] = {}

    def serve(self) -> None:
        """Returns in a new process, which is to become the product; the forker itself ends in here."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, self._tell_ends)
        while True:
            length, descriptors, *_ = socket.recv_fds(self._control, LENGTH_BYTES, _STREAMS + 1)
            if not length:
                sys.exit()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            wanted = json.loads(self._read(int.from_bytes(length)))
            if (pid := os.fork()) == 0:
                become(wanted, descriptors)
                return
            *streams, self._told[pid] = descriptors
            tell(self._told[pid], pid)
            for stream in streams:
                os.close(stream)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += self._control.recv(length - len(data))
        return data

    def _tell_ends(self, *_: Any) -> None:
        # This may interrupt itself, where the next process ends: then some may be told of by the one that was
        # interrupted, and there is nobody left to wait for.
        with suppress(ChildProcessError):
            while self._told:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                told = self._told.pop(pid)
                tell(told, os.waitstatus_to_exitcode(status))
                os.close(told)


def tell(asker: int, number: int) -> None:
    with suppress(BrokenPipeError):  # who asked is gone
        os.write(asker, b"%d\n" % number)


def become(wanted: dict[str, Any], descriptors: list[int]) -> None:
    """Be as a process is that was started with these."""
    for number, descriptor in enumerate(descriptors[:_STREAMS]):
        os.dup2(descriptor, number)
    os.closerange(_STREAMS, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["cwd"])
    sys.path.insert(0, wanted["cwd"])
    sys.argv[1:] = wanted["arguments"]


def main() -> NoReturn:
    load()
    control = socket.socket(fileno=int(sys.argv[1]))
    Forker(control).serve()
    control.detach()  # it is closed
    runpy.run_module("vel_tutor_mcp", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
