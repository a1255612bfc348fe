"""The real server as a child process that the demo can kill: the SDK's stdio transport keeps its process to itself."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import IO

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from anyio.streams.text import TextReceiveStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

Incoming = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]

_SECONDS_TO_LEAVE = 5.0
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@asynccontextmanager
async def server_process(settings: Mapping[str, str], log: IO[bytes]) -> AsyncIterator[Process]:
    """The server, with these settings and no others; gone when the context is left, however that happens."""
    process = await anyio.open_process(
        [sys.executable, "-m", "vel_tutor_mcp"],
        env={**_environment(), **settings},
        stderr=log,
        # Ctrl-C is for the demo alone, which then ends the server.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


@asynccontextmanager
async def over(process: Process) -> AsyncIterator[Streams]:
    """A transport for `mcp.Client` over the process's stdin and stdout."""
    assert process.stdin is not None
    assert process.stdout is not None
    heard, read = anyio.create_memory_object_stream[Incoming](0)
    write, to_say = anyio.create_memory_object_stream[SessionMessage](0)
    async with heard, read, write, to_say, anyio.create_task_group() as pumps:
        pumps.start_soon(_hear, process.stdout, heard)
        pumps.start_soon(_say, to_say, process.stdin)
        yield read, write
        pumps.cancel_scope.cancel()


async def _hear(stdout: ByteReceiveStream, heard: MemoryObjectSendStream[Incoming]) -> None:
    rest = ""
    async with heard:
        with suppress(*_GONE):
            async for text in TextReceiveStream(stdout):
                *lines, rest = (rest + text).split("\n")
                for line in lines:
                    await heard.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))


async def _say(to_say: MemoryObjectReceiveStream[SessionMessage], stdin: ByteSendStream) -> None:
    with suppress(*_GONE):
        async for item in to_say:
            await stdin.send(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")


async def _end(process: Process) -> None:
    """The orderly way of MCP: close its stdin and let it leave; kill it where it does not."""
    assert process.stdin is not None
    with suppress(*_GONE):
        await process.stdin.aclose()
    with anyio.move_on_after(_SECONDS_TO_LEAVE):
        await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    await process.aclose()


def _environment() -> dict[str, str]:
    """What any program needs, and how Python finds the package; never a key."""
    python = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    return get_default_environment() | python
