"""A client of the Python SDK v1, in a virtual environment of its own: told a way and an address or a command.

It lists tools, gives a task, subscribes to it where it can, and says what it heard.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ResourceUpdatedNotification


async def main(way: str, place: str) -> None:
    told = asyncio.Event()

    async def hear(message: object) -> None:
        if isinstance(getattr(message, "root", None), ResourceUpdatedNotification):
            told.set()

    transport = streamablehttp_client(place) if way == "http" else stdio_client(StdioServerParameters(command=place))
    async with transport as (read, write, *_), ClientSession(read, write, message_handler=hear) as session:
        greeted = await session.initialize()
        tools = (await session.list_tools()).tools
        given = await session.call_tool("task_submit", {"prompt": "Say hello", "wait_seconds": 0})
        if greeted.capabilities.resources.subscribe:
            await session.subscribe_resource(f"task://{given.structuredContent['id']}")
            await told.wait()
        said = {"tools": len(tools), "status": given.structuredContent["status"], "told": told.is_set()}
        sys.stdout.write(json.dumps(said))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
