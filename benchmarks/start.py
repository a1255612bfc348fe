"""From the spawn of the server to its first answer, against the same SDK with one tool; and to a first task done.

Byte code is compiled in the warm-ups, into a folder of their own: an installed package has it, and a machine's setting
not to write any would otherwise measure the compiler.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from measure import Result, alone, compared
from upstream import upstream

Json = dict[str, Any]

STARTS = 12
TASKS = 6
GOAL = 1.15

_OURS = ("-m", "vel_tutor_mcp")
_BARE = (str(Path(__file__).with_name("bare_server.py")),)
_SECONDS_TO_LEAVE = 10
_INITIALIZE: Json = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}
_INITIALIZED: Json = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_SUBMIT: Json = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "task_submit", "arguments": {"prompt": "Say hello."}},
}


async def results() -> list[Result]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, upstream(words=20) as base_url:
        environment = _environment(Path(folder), base_url)

        async def ours() -> float:
            return seconds_to_answer(_OURS, environment) * 1000

        async def bare() -> float:
            return seconds_to_answer(_BARE, environment) * 1000

        async def task() -> float:
            return seconds_to_task(environment) * 1000

        return [
            await compared("spawn to initialize / bare SDK", ours, bare, unit="ms", rounds=STARTS, goal=GOAL),
            await alone("spawn to first task done", task, unit="ms", rounds=TASKS),
        ]


def seconds_to_answer(arguments: tuple[str, ...], environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    with _Server(arguments, environment) as server:
        server.ask(_INITIALIZE)
        return time.perf_counter() - begun


def seconds_to_task(environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    with _Server(_OURS, environment) as server:
        server.ask(_INITIALIZE)
        server.say(_INITIALIZED)
        task = server.ask(_SUBMIT)["result"]
        took = time.perf_counter() - begun
    assert task["structuredContent"]["status"] == "completed", task
    return took


class _Server:
    """Spoken to in raw JSON lines, since a client's own work is not what is measured."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=_SECONDS_TO_LEAVE)
        finally:
            self._process.kill()

    def say(self, message: Json) -> None:
        stdin: IO[bytes] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()

    def ask(self, message: Json) -> Json:
        self.say(message)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: Json = json.loads(line)
            if answer.get("id") == message["id"]:
                return answer
        raise RuntimeError("The server ended before it answered.")


def _environment(folder: Path, base_url: str) -> dict[str, str]:
    foreign = ("VEL_TUTOR_", "OPENAI_", "GROQ_", "PERPLEXITY_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "VEL_TUTOR_HOME": str(folder / "home"),
        "OPENAI_API_KEY": "dummy-key",
        "OPENAI_BASE_URL": base_url,
    }
