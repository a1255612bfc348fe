"""An ASGI app served in this process, on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from server import soon
from starlette.types import ASGIApp

from vel_tutor_mcp.doors.quiet import Quiet


@asynccontextmanager
async def hosted(app: ASGIApp) -> AsyncIterator[str]:
    """Its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = Quiet(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await soon(serving)
