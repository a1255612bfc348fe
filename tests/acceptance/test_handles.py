"""Handles of the Tasks extension over Streamable HTTP: they are in the database, so no end of a server ends them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deployment import DATABASES, Deployment
from handles import Handles, ask, begun, get, listening
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult
from server import Server, alone, soon
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

# Both in `make soak`: what is told of a handle is read by the services, which meet both anyway.
PLACES = [("http", database) for database in (DATABASES if "VEL_TEST_EVERYWHERE" in os.environ else DATABASES[:1])]
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("deployment", PLACES, indirect=True, ids="-".join),
]

PUBLISH: dict[str, Any] = {
    "steps": [
        {"id": "ok", "kind": "approval", "prompt": "Publish it?", "human": True},
        {"id": "publish", "kind": "task", "needs": ["ok"], "prompt": "Publish: {{ steps.ok.output.comment }}"},
    ]
}


async def nobody(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's names
    raise AssertionError("What a handle asks is not asked by other ways.")


@asynccontextmanager
async def holding(server: Server, heard: Handles) -> AsyncIterator[Client]:
    """A client that holds handles, and asks its person."""
    address = await soon(server.address())
    async with Client(address, mode="auto", extensions=[heard], elicitation_callback=nobody) as client:
        yield client


async def test_a_killed_server_loses_neither_a_task_nor_an_open_approval(
    deployment: Deployment, providers: Providers
) -> None:
    values = alone(providers.groq) | dict(deployment.variables)
    providers.groq.faults = [Fault(kind="stall")]
    async with Server(deployment.folder, values, transport="http") as server:
        async with holding(server, Handles()) as client:
            await client.call_tool("workflow_save", {"name": "publish", "definition": PUBLISH})
            run = await begun(client, "workflow_run", workflow="publish")
            asked = (await get(client, run, "input_required"))["inputRequests"]
            task = await begun(client, "task_submit", prompt="Hello")
            await soon(providers.groq.until(lambda groq: groq.open == 1))
        await server.kill()

    heard = Handles()
    async with Server(deployment.folder, values, transport="http") as server, holding(server, heard) as client:
        answered = await get(client, task)
        assert (await get(client, run, "input_required"))["inputRequests"] == asked
        yes = {"action": "accept", "content": {"approve": True, "comment": "as it is"}}
        async with listening(client, run):
            await heard.until("input_required")
            await ask(client, "tasks/update", run, inputResponses=dict.fromkeys(asked, yes))
            ended = (await heard.until("completed"))[-1]

    assert answered["result"]["structuredContent"]["prompt"] == "Hello"
    decided, published = ended["result"]["structuredContent"]["steps"]
    assert decided["output"]["how"] == "elicited"
    assert "Publish: as it is" in published["output"]
