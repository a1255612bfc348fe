"""A server over stdio, spoken to in raw JSON lines, since a client's own work is not what is measured."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

Json = dict[str, Any]

OURS = ("-m", "vel_tutor_mcp")
BARE = (str(Path(__file__).with_name("bare_server.py")),)

_SECONDS_TO_LEAVE = 10
FOREIGN = ("VEL_TUTOR_", "OPENAI_", "GROQ_", "PERPLEXITY_", "PYTHONDONTWRITEBYTECODE")
_GREETING: Json = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


def environment(folder: Path, base_url: str, **values: str) -> dict[str, str]:
    """A server's, with its home in the folder, and its byte code too: compiled in the warm-ups, as an installed package
    is, where this machine's own setting may be not to write any.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "VEL_TUTOR_HOME": str(folder / "home"),
        "VEL_TUTOR_EXPLORATION": "0",
        "OPENAI_API_KEY": "dummy-key",
        "OPENAI_BASE_URL": base_url,
        **values,
    }


def cpu_seconds(pid: int) -> float | None:
    """CPU time of all threads of a process so far; None where the system does not tell."""
    # Linux names the CPU clock of any process so, and reads it to the nanosecond; /proc counts hundredths.
    return time.clock_gettime((~pid << 3) | 2) if sys.platform == "linux" else None


class Worker:
    """A worker, from the moment when it says that it runs to its end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *OURS, "worker"], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_LEAVE)
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        assert b"the worker runs" in said, said


class StdioServer:
    """A process, from its spawn to its orderly end."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=_SECONDS_TO_LEAVE)
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def initialize(self) -> None:
        self.request("initialize", _GREETING)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def request(self, method: str, params: Json) -> Json:
        self.send(method, params)
        return self.receive()

    def call(self, tool: str, **arguments: Any) -> Json:
        """A tool's result, which must be no error."""
        self.send_call(tool, arguments)
        return self.receive_call()

    def send(self, method: str, params: Json) -> None:
        self._asked += 1
        self._write({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})

    def send_call(self, tool: str, arguments: Json) -> None:
        self.send("tools/call", {"name": tool, "arguments": arguments})

    def receive(self) -> Json:
        """The result of any request that was sent and not yet answered."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: Json = json.loads(line)
            if "id" in message:
                assert "result" in message, message
                result: Json = message["result"]
                return result
        raise RuntimeError("The server ended before it answered.")

    def receive_call(self) -> Json:
        result = self.receive()
        assert not result.get("isError"), result
        return result

    def cpu_seconds(self) -> float | None:
        """CPU time of all its threads so far; None where the system does not tell."""
        return cpu_seconds(self.pid)

    def kill(self) -> None:
        """End it as a crash would; returns when it is gone."""
        self._process.kill()
        self._process.wait(_SECONDS_TO_LEAVE)

    def _write(self, message: Json) -> None:
        stdin: IO[bytes] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()
