"""The gateway for one plan alone: on this machine, at an address that holds a secret, until the plan is made.

Its errors are such as no client tries again: what is worth another try, the router has tried.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vel_tutor_mcp.doors.gateway import told as shown
from vel_tutor_mcp.doors.gateway.asked import Chat, request_of
from vel_tutor_mcp.doors.gateway.refusals import refusal
from vel_tutor_mcp.doors.quiet import Quiet
from vel_tutor_mcp.errors import InputError, VelError
from vel_tutor_mcp.services.plan_tasks import Ask

_LOOPBACK = "127.0.0.1"
_GOES_SECONDS = 5.0
_ODD = "The question cannot be put; it is too long, or Task Master asks otherwise than it did; plan with less."


@asynccontextmanager
async def serving(ask: Ask) -> AsyncIterator[str]:
    """The base URL at which `ask` answers."""
    token = secrets.token_urlsafe(32)
    listener = socket.create_server((_LOOPBACK, 0))
    config = uvicorn.Config(_app(ask, token), lifespan="off", ws="none", log_config=None, access_log=False)
    server = Quiet(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{_LOOPBACK}:{listener.getsockname()[1]}/{token}/v1"
    finally:
        # Without waiting for open calls: the plan is over, and nobody reads their answers.
        server.should_exit = server.force_exit = True
        await asyncio.wait([running], timeout=_GOES_SECONDS)
        running.cancel()
        listener.close()


def _app(ask: Ask, token: str) -> Starlette:
    async def completed(request: Request) -> JSONResponse:
        if not secrets.compare_digest(request.path_params["token"].encode(), token.encode()):
            return refusal(404, "There is nothing here; the address is not that of a plan; ask elsewhere.", "not_found")
        try:
            chat = Chat.model_validate_json(await request.body())
            told = await ask(lambda agent: request_of(chat, agent.id, agent.config, None, None))
        except ValidationError:
            return refusal(400, _ODD, InputError.code)
        except VelError as problem:
            return refusal(400, str(problem), problem.code)
        failed = shown.failure(told)
        return refusal(400, *failed[1:]) if failed else JSONResponse(shown.completion(told))

    return Starlette(routes=[Route("/{token}/v1/chat/completions", completed, methods=["POST"])])
