"""A raw conversation with the real server over its pipes: every byte of it is kept, and every wait is bounded.

Nothing of this machine's environment reaches the server but the PATH, and what coverage needs to see it.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import vel_tutor_mcp
from vel_tutor_mcp.app import FILE_NAME
from vel_tutor_mcp.providers.simulated import SimulatedProvider

WAIT_SECONDS = 40.0
COMMAND = (sys.executable, "-m", "vel_tutor_mcp")

_PROTOCOL = "2025-11-25"
_LONGEST_LINE = 1 << 26
# Windows starts no process without SYSTEMROOT, and knows the user by USERNAME.
_INHERITED = ("PATH", "SYSTEMROOT", "USERNAME")
_COVERAGE = ("COVERAGE_", "COV_CORE_")

Result = TypeVar("Result")
Message = dict[str, Any]


class ToolRefused(Exception):
    """A tool answered with an error; its text."""


class RequestRefused(Exception):
    """A request was answered with a JSON-RPC error; its message."""


class ServerGone(Exception):
    """The server ended before it answered."""


async def soon(what: Awaitable[Result], seconds: float = WAIT_SECONDS) -> Result:
    """What is awaited, or TimeoutError."""
    return await asyncio.wait_for(what, seconds)


def environment(folder: Path, values: Mapping[str, str] = {}) -> dict[str, str]:
    """All that a server with its home in the folder is told. Works for a checkout as for an installed package."""
    kept = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_COVERAGE)}
    own = {
        "PYTHONPATH": str(Path(vel_tutor_mcp.__file__).parents[1]),
        "HOME": str(folder),
        "VEL_TUTOR_HOME": str(folder / "home"),
    }
    return {**kept, **own, **values}


def one_sentence(text: str) -> bool:
    """Whether this is what a person is told: one line, one sentence, no traceback."""
    return text.endswith((".", "?")) and "\n" not in text and ". " not in text and "Traceback" not in text


def alone(provider: SimulatedProvider) -> dict[str, str]:
    """The variables of a server that knows this one vendor."""
    name = provider.name.upper()
    return {f"{name}_API_KEY": "sk-test-alone", f"{name}_BASE_URL": provider.base_url}


class StdioServer:
    """A server's process; where its context ends its stdin is closed, and it must leave by itself.

    Args:
        folder: holds its home, and an empty folder that it is started in; use the same again for a restart.
        values: environment variables beside those of `environment`.
    """

    def __init__(
        self,
        folder: Path,
        values: Mapping[str, str] = {},
        command: Sequence[str] = COMMAND,
        cwd: Path | None = None,
    ) -> None:
        self.environment = environment(folder, values)
        self.home = Path(self.environment["VEL_TUTOR_HOME"])
        self.database = self.home / FILE_NAME
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.heard: list[Message] = []
        self._command = command
        self._cwd = cwd or folder / "cwd"
        self._requests = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close_stdin()
            await self.ended()
        finally:
            await self.kill()

    async def start(self) -> None:
        self._cwd.mkdir(exist_ok=True)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self._cwd,
            env=self.environment,
            limit=_LONGEST_LINE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self._take)),
            asyncio.create_task(self._read(self._process.stderr, self.stderr.extend)),
        ]

    async def initialize(self) -> Message:
        """The handshake of the legacy era; returns what the server says of itself."""
        client = {"name": "acceptance", "version": "1"}
        result = await self.request("initialize", protocolVersion=_PROTOCOL, capabilities={}, clientInfo=client)
        self.notify("notifications/initialized")
        return result

    async def call(self, tool: str, **arguments: Any) -> Message:
        """The structured content of the tool's result.

        Raises:
            ToolRefused: the tool answered with an error.
        """
        return _content(await self.request("tools/call", name=tool, arguments=arguments))

    def begin(self, tool: str, **arguments: Any) -> tuple[int, "asyncio.Future[Message]"]:
        """Call a tool without waiting; returns the request's id, and the answer to come."""
        return self._ask("tools/call", {"name": tool, "arguments": arguments})

    async def read(self, uri: str) -> str:
        """The text of a resource."""
        (content,) = (await self.request("resources/read", uri=uri))["contents"]
        text: str = content["text"]
        return text

    async def request(self, method: str, **params: Any) -> Message:
        """The result of a request.

        Raises:
            RequestRefused: the answer is an error. ServerGone: there is none.
        """
        _, answer = self._ask(method, params)
        message = await soon(answer)
        if "error" in message:
            raise RequestRefused(message["error"]["message"])
        result: Message = message["result"]
        return result

    def notify(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def terminate(self) -> None:
        self._process.terminate()

    async def kill(self) -> None:
        """As `kill -9` does, at once; returns when the process is gone. No effect on one that has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def ended(self) -> int:
        """The exit code, once the server has ended and all that it wrote has been read."""
        code = await soon(self._process.wait())
        await soon(asyncio.gather(*self._readers))
        self.close_stdin()
        self._process._transport.close()  # type: ignore[attr-defined]  # else it is closed, with a warning, at some later time
        return code

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def rubbish(self) -> list[bytes]:
        """The lines on stdout that are no JSON-RPC messages."""
        return [line for line in bytes(self.stdout).splitlines() if not _is_message(line)]

    def _ask(self, method: str, params: Message) -> tuple[int, "asyncio.Future[Message]"]:
        self._requests += 1
        answer = self._answers[self._requests] = asyncio.get_running_loop().create_future()
        self._send({"id": self._requests, "method": method, "params": params})
        return self._requests, answer

    def _send(self, message: Message) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[bytes], None]) -> None:
        async for line in stream:
            take(line)
        if take == self._take:
            self._hang_up()

    def _take(self, line: bytes) -> None:
        self.stdout += line
        if not _is_message(line):
            return
        message = json.loads(line)
        answer = self._answers.pop(message.get("id"), None)
        if answer is None:
            self.heard.append(message)
        elif not answer.done():
            answer.set_result(message)

    def _hang_up(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ServerGone(self.stderr.decode(errors="replace")))
                answer.exception()  # seen: nobody may be waiting for it


class serving(StdioServer):  # noqa: N801 - read as `async with serving(...)`
    """A server that has been greeted."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.initialize()
        return self


def _is_message(line: bytes) -> bool:
    try:
        message = json.loads(line)
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("jsonrpc") == "2.0"


def _content(result: Message) -> Message:
    if result.get("isError"):
        raise ToolRefused(result["content"][0]["text"])
    content: Message = result["structuredContent"]
    return content
