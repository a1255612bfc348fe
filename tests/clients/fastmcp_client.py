"""A client of fastmcp, in a virtual environment of its own: its arguments are a way, and an address or a command.

It lists tools, gives a task, and says what it heard.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main(way: str, place: str) -> None:
    async with Client(place if way == "http" else StdioTransport(place, [])) as client:
        tools = await client.list_tools()
        given = await client.call_tool("task_submit", {"prompt": "Say hello", "wait_seconds": 0})
        said = {"tools": len(tools), "status": given.structured_content["status"], "told": False}
        sys.stdout.write(json.dumps(said))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
