"""A raw conversation with the real server, alike over each transport: all it writes is kept, every wait is bounded.

Nothing of this machine's environment reaches the server but the PATH, and what coverage needs to see it.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from heard import note
from planted import key
from processes import COMMAND, SOURCES, begin
from wires import Message, SsePair, StreamableHttp

from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.store.places import FILE_NAME

WAIT_SECONDS = 40.0

Transport = Literal["stdio", "sse", "http"]

_PROTOCOL = "2025-11-25"
# Windows starts no process without SYSTEMROOT, and knows the user by USERNAME.
_INHERITED = ("PATH", "SYSTEMROOT", "USERNAME")
_COVERAGE = ("COVERAGE_", "COV_CORE_")
# By `make coverage`: processes then take longer, most of all to end.
MEASURED = any(name.startswith(_COVERAGE) for name in os.environ)

_ON_ANY_PORT = ("--port", "0", "--no-auth")
OPTIONS: Mapping[Transport, Sequence[str]] = {
    "stdio": (),
    "sse": ("serve", "--transport", "sse", *_ON_ANY_PORT),
    "http": ("serve", "--transport", "http", *_ON_ANY_PORT),
}
_WIRES: Mapping[Transport, type[SsePair | StreamableHttp]] = {"sse": SsePair, "http": StreamableHttp}
_ADDRESS = re.compile(rb"serving MCP at (https?://[^\s\"]+)")

Result = TypeVar("Result")


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
    kept = {name: value for name, value in os.environ.items() if name in _INHERITED or _measures(name, values)}
    own = {
        "PYTHONPATH": SOURCES,
        "HOME": str(folder),
        "VEL_TUTOR_HOME": str(folder / "home"),
        "VEL_TUTOR_EXPLORATION": "0",  # which model is asked is not left to chance
    }
    return {**kept, **own, **values}


def unmeasured(variables: Mapping[str, str]) -> dict[str, str]:
    """Without coverage: a process that is measured cannot be forked, and writes a file as it ends."""
    return {name: value for name, value in variables.items() if not name.startswith(_COVERAGE)}


def _measures(name: str, values: Mapping[str, str]) -> bool:
    """Whether it asks for coverage: half as much CPU again, for lines that are measured on SQLite already."""
    return name.startswith(_COVERAGE) and "VEL_TUTOR_DATABASE_URL" not in values


def one_sentence(text: str) -> bool:
    """Whether this is what a person is told: one line, one sentence, no traceback."""
    return text.endswith((".", "?")) and "\n" not in text and ". " not in text and "Traceback" not in text


def alone(provider: SimulatedProvider) -> dict[str, str]:
    """The variables of a server that knows this one vendor."""
    name = provider.name.upper()
    return {f"{name}_API_KEY": key("sk-alone"), f"{name}_BASE_URL": provider.base_url}


class Server:
    """A server's process; where its context ends it is asked to leave, and must do so by itself.

    Args:
        folder: holds its home, and an empty folder that it is started in; use the same again for a restart.
        values: environment variables beside those of `environment`.
        anew: started by Python itself, with nothing loaded, as users do it.
    """

    def __init__(
        self,
        folder: Path,
        values: Mapping[str, str] = {},
        command: Sequence[str] = COMMAND,
        cwd: Path | None = None,
        transport: Transport = "stdio",
        *,
        anew: bool = False,
    ) -> None:
        self._anew = anew
        self.environment = environment(folder, values)
        self.home = Path(self.environment["VEL_TUTOR_HOME"])
        self.database = self.home / FILE_NAME
        self.transport = transport
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.heard: list[Message] = []
        self._command = [*command, *OPTIONS[transport]]
        self._cwd = cwd or folder / "cwd"
        self._wire: SsePair | StreamableHttp | None = None
        self._requests = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.leave()
            await self.ended()
        finally:
            await self.kill()

    async def start(self) -> None:
        self._cwd.mkdir(exist_ok=True)
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._process = await begin(self._command, self._cwd, self.environment, anew=self._anew)
        self._readers = [asyncio.create_task(self._read_stdout()), asyncio.create_task(self._read_stderr())]

    async def connect(self) -> None:
        """Over HTTP: wait until the server has told its address, and open what messages travel on."""
        if self.transport != "stdio":
            self._wire = _WIRES[self.transport](await soon(self.address()), self._hear)
            await soon(self._wire.open())

    async def reconnect(self) -> None:
        """Over HTTP: let go of everything, as a client that is closed, and come again as a new one."""
        assert self._wire is not None
        await self._wire.close()
        await self.connect()
        await self.initialize()

    async def address(self) -> str:
        """Where the server says that it serves."""
        return await asyncio.shield(self._address)

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

    def leave(self) -> None:
        """Ask the server to leave in the way of its transport."""
        if self.transport == "stdio":
            self.close_stdin()
        else:
            self.terminate()

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def terminate(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()

    async def kill(self) -> None:
        """As `kill -9` does, at once; returns when the process is gone. No effect on one that has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def ended(self) -> int:
        """The exit code, once the server has ended and all that it wrote has been read."""
        code = await soon(self._process.wait())
        await soon(asyncio.shield(asyncio.gather(*self._readers)))  # if it is too late, who closes waits for them again
        self.close_stdin()
        if self._wire is not None:
            await self._wire.close()
        note(bytes(self.stdout) + bytes(self.stderr))
        if isinstance(self._process, asyncio.subprocess.Process):
            self._process._transport.close()  # type: ignore[attr-defined]  # else it is closed, with a warning, at some later time
        return code

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def rubbish(self) -> list[bytes]:
        """The lines on stdout that are no JSON-RPC messages; over HTTP not even those belong there."""
        lines = bytes(self.stdout).splitlines()
        return [line for line in lines if self.transport != "stdio" or not _is_message(line)]

    def _ask(self, method: str, params: Message) -> tuple[int, "asyncio.Future[Message]"]:
        self._requests += 1
        answer = self._answers[self._requests] = asyncio.get_running_loop().create_future()
        self._send({"id": self._requests, "method": method, "params": params})
        return self._requests, answer

    def _send(self, message: Message) -> None:
        self.send_raw({"jsonrpc": "2.0"} | message)

    def send_raw(self, message: Message) -> None:
        """Send what may be no message at all."""
        if self._wire is not None:
            self._wire.send(message)
            return
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.stdout += line
            if self._wire is None and _is_message(line):
                self._hear(json.loads(line))
        if self._wire is not None:
            await self._wire.silence()
        self._hang_up()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.stderr += line
            told = _ADDRESS.search(line)
            if told and not self._address.done():
                self._address.set_result(told[1].decode())

    def _hear(self, message: Message) -> None:
        answer = self._answers.pop(message.get("id", 0), None)
        if answer is None:
            self.heard.append(message)
        elif not answer.done():
            answer.set_result(message)

    def _hang_up(self) -> None:
        waited_for: list[asyncio.Future[Any]] = [self._address, *self._answers.values()]
        for answer in waited_for:
            if not answer.done():
                answer.set_exception(ServerGone(self.stderr.decode(errors="replace")))
                answer.exception()  # seen: nobody may be waiting for it


class serving(Server):  # noqa: N801 - read as `async with serving(...)`
    """A server that has been greeted."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self.connect()
            await self.initialize()
        except BaseException:
            await self.kill()
            raise
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
