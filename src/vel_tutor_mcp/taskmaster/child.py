"""Task Master's own MCP server, a child process of ours for each project: started when needed, and again after a crash.

It is told to use no network: a proxy that is nobody, and a home of its own without anyone's account. It ends when our
end of its pipe does, however that came about.
"""

import asyncio
import json
import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vel_tutor_mcp.errors import ConfigurationError, InputError, Unavailable
from vel_tutor_mcp.taskmaster.project import Project

if TYPE_CHECKING:
    from mcp import Client

# Writes are made through versions alone whose habits were looked at; tests/acceptance/test_task_master.py has them.
TESTED = ("0.43.1",)
# All else is refused: some of its tools end it, and some destroy other tags.
TOOLS = ("set_task_status", "update_task", "update_subtask")
# These ask a model, and take from other tags what is not asked for: they are for private copies (`copying`).
ASKING_TOOLS = ("parse_prd", "expand_task", "analyze_project_complexity")
_START_SECONDS = 60.0
_CALL_SECONDS = 30.0
# Longer than the 270 s that an answer may take which it asks for (`services.plan_tasks`).
_ASKING_SECONDS = 300.0
_END_SECONDS = 5.0
_LONGEST_PAUSE = 30.0
# By then the pause is the longest; a float overflows at 1,024.
_MOST_DOUBLINGS = 10
_LONGEST_TEXT = 300
# The port of the discard service, where nobody listens.
_NOBODY = "http://127.0.0.1:9"
INSTALL = f"install it with `npm install -g task-master-ai@{TESTED[-1]}`, or set VEL_TUTOR_TASK_MASTER_COMMAND"


class Unsure(Unavailable):
    """Task Master ended or fell silent during a call, which may have been done or not; read the file again."""


class Child:
    """The server of one project. `command` is a command line, `home` the home folder that it gets.

    `asks`: it is to use a model, in a private copy.

    Attributes:
        starts: how often it was started.
    """

    def __init__(self, command: str, project: Project, home: Path, *, asks: bool = False) -> None:
        self._tools = ASKING_TOOLS if asks else TOOLS
        self._call_seconds = _ASKING_SECONDS if asks else _CALL_SECONDS
        self._command = command
        self._project = project
        self._home = home
        self._client: Client | None = None
        self._serving: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()
        self._starting = asyncio.Lock()
        self._failures = 0
        # Long ago: the first start waits for nothing.
        self._ended_at = -_LONGEST_PAUSE
        self.starts = 0

    async def call(self, tool: str, **arguments: str) -> dict[str, Any]:
        """What the tool answers, in its `data`.

        Raises:
            ConfigurationError: it cannot be started, or is of an untested version. InputError: it refused; says why.
            Unsure: it ended or fell silent.
        """
        from mcp.shared.exceptions import MCPError

        assert tool in self._tools
        client = await self._connected()
        sent = {"projectRoot": str(self._project.root), **arguments}
        try:
            result = await client.call_tool(
                tool, sent, read_timeout_seconds=self._call_seconds, progress_callback=_unheard
            )
        except MCPError as problem:
            if problem.error.code == -32602:  # noqa: PLR2004 - JSON-RPC's code for bad arguments
                raise _refused(problem.error.message) from None
            self._failures += 1
            await self.close()
            raise Unsure from problem
        self._failures = 0
        return _data(result)

    async def close(self) -> None:
        """End the child; the next call starts it again."""
        serving, self._serving, self._client = self._serving, None, None
        self._leave.set()
        self._ended_at = time.monotonic()
        if serving is not None:
            await asyncio.wait([serving], timeout=_END_SECONDS)
            serving.cancel()

    async def _connected(self) -> "Client":
        async with self._starting:
            if self._client is None:
                await asyncio.sleep(self._pause())
                self._client = await self._start()
            return self._client

    def _pause(self) -> float:
        """How long to wait before the next start: longer after each failure."""
        pause = min(2.0 ** min(self._failures, _MOST_DOUBLINGS) - 1, _LONGEST_PAUSE)
        return max(0.0, self._ended_at + pause - time.monotonic())

    async def _start(self) -> "Client":
        self.starts += 1
        self._leave = asyncio.Event()
        started: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(self._serve(command_of(self._command), started, self._leave))
        try:
            async with asyncio.timeout(_START_SECONDS):
                # Else a time-out would cancel what `_serve` is about to set.
                client = await asyncio.shield(started)
            _check_version(client.server_info.version if client.server_info else "of no version")
        # Also where we are cancelled: no child may be left behind.
        except BaseException as problem:
            self._failures += 1
            await self.close()
            if isinstance(problem, Exception) and not isinstance(problem, ConfigurationError):
                raise _no_start(f"it does not start ({type(problem).__name__})") from problem
            raise
        return client

    async def _serve(self, command: list[str], started: "asyncio.Future[Client]", leave: asyncio.Event) -> None:
        """Hold the connection: the SDK wants it closed by the task that opened it."""
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        logging.getLogger("mcp.client.stdio").setLevel(logging.CRITICAL)  # it says a word on stdout that is no JSON
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        program, *arguments = command
        parameters = StdioServerParameters(
            command=program, args=arguments, env=_environment(self._home, self._tools), cwd=self._project.root
        )
        try:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123, ASYNC230 - its log repeats texts
                # It knows no `server/discover`: to try that first would cost each start its time.
                async with Client(stdio_client(parameters, errlog=nowhere), mode="legacy") as client:
                    started.set_result(client)
                    await leave.wait()
        except Exception as problem:  # noqa: BLE001 - told to whoever waits for the start; later its calls tell
            if not started.done():
                started.set_exception(problem)


def command_of(command: str) -> list[str]:
    """The program and its arguments.

    Raises:
        ConfigurationError: it, or node, is not on the PATH.
    """
    parts = words(command)
    program = shutil.which(parts[0]) if parts else None
    if program is None:
        raise _no_start("its command was not found")
    if shutil.which("node") is None:
        raise ConfigurationError(
            "Task Master cannot be used; it needs Node.js, which is not on the PATH; install version 20 or newer."
        )
    return [program, *parts[1:]]


def words(command: str) -> list[str]:
    """The command line's parts; none where it is not one."""
    try:
        return shlex.split(command, posix=os.name == "posix")
    except ValueError:  # a quotation mark without its other half
        return []


def _environment(home: Path, tools: tuple[str, ...]) -> Mapping[str, str]:
    """Beside the few variables that the SDK hands on, such as PATH; keys are not among them."""
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        # None for http, by which a plan's child reaches our gateway.
        "https_proxy": _NOBODY,
        "HTTPS_PROXY": _NOBODY,
        "TASK_MASTER_TOOLS": ",".join(tools),
        # Else it takes no `metadata`, in which our note of an item stands.
        "TASK_MASTER_ALLOW_METADATA_UPDATES": "true",
    }


def _check_version(version: str) -> None:
    if version not in TESTED:
        raise ConfigurationError(
            f"Task Master {version[:40]} is not written through; what it does to files was tested with "
            f"{', '.join(TESTED)} alone; {INSTALL}."
        )


async def _unheard(progress: float, total: float | None, message: str | None) -> None:
    """It tells of progress although nobody asked, which the SDK takes for a fault."""


def _no_start(why: str) -> ConfigurationError:
    return ConfigurationError(f"Task Master cannot be used; {why}; {INSTALL}.")


def _refused(message: str) -> InputError:
    said = message.removeprefix("Error: ").partition("\nVersion:")[0].strip()[:_LONGEST_TEXT]
    return InputError(f"Task Master refused; it said: {said.rstrip('.')}; look at the task and try again.")


def _data(result: Any) -> dict[str, Any]:
    """The answer without its envelope, in which the tag is often not the one that was meant."""
    text = result.content[0].text if result.content else ""
    if result.is_error:
        raise _refused(text)
    with suppress(ValueError, KeyError, TypeError):
        data = json.loads(text)["data"]
        if isinstance(data, dict):
            return data
    raise _refused("an answer that is none")
