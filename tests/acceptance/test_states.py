"""What a person is asked by one server is answered at any other of the installation, and after a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from deployment import Deployment
from server import Server, one_sentence, soon
from wires import ACCEPT

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("deployment", [("http", "sqlite")], indirect=True, ids="-".join),
]

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "carrier", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Publish it?", "human": True}]}
YES = {"action": "accept", "content": {"approve": True, "comment": "Yes"}}
Message = dict[str, Any]


class Carrier:
    """A client of the stateless era, which keeps what it is given between two calls."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def call(self, tool: str, arguments: Message, **carried: Any) -> Message:
        params = {"name": tool, "arguments": arguments, "_meta": META, **carried}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {"accept": ACCEPT, "mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": tool}
        reply: Message = (await soon(self._http.post(self._url, json=message, headers=headers))).json()
        return reply

    async def begin(self) -> Message:
        """The arguments that decide on a new run, which waits for a person."""
        run = await self.call("workflow_run", {"workflow": "ask"})
        return {"run": run["result"]["structuredContent"]["id"], "step": "ok", "approve": False}

    async def asked(self, decision: Message) -> Message:
        """What the answer must bring with it: a word on each question, and the state."""
        asked = (await self.call("workflow_decide", decision))["result"]
        assert asked["resultType"] == "input_required"
        return {"inputResponses": dict.fromkeys(asked["inputRequests"], YES), "requestState": asked["requestState"]}


@asynccontextmanager
async def carrier(deployment: Deployment) -> AsyncIterator[Carrier]:
    """A client of a new server of the deployment."""
    async with (
        Server(deployment.folder, deployment.variables, transport="http") as server,
        httpx2.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        yield Carrier(http, await soon(server.address()))


async def test_any_server_takes_up_what_another_one_asked_and_nothing_else(deployment: Deployment) -> None:
    async with carrier(deployment) as first:
        await first.call("workflow_save", {"name": "ask", "definition": ASKS})
        one, two = await first.begin(), await first.begin()
        word, other = await first.asked(one), await first.asked(two)
        async with carrier(deployment) as replica:
            for state in (changed(word["requestState"]), other["requestState"], "v1.none"):
                refused = (await replica.call("workflow_decide", one, **word | {"requestState": state}))["error"]
                assert (refused["code"], refused["data"]) == (-32602, {"reason": "invalid_request_state"})
                assert one_sentence(refused["message"]), refused["message"]
            answered = await replica.call("workflow_decide", one, **word)

    async with carrier(deployment) as restarted:
        later = await restarted.call("workflow_decide", two, **other)

    for reply in (answered, later):
        told = reply["result"]["structuredContent"]
        assert (told["status"], told["output"]["how"], told["output"]["comment"]) == ("completed", "elicited", "Yes")


def changed(state: str) -> str:
    """The same but for one letter in its middle."""
    half = len(state) // 2
    return f"{state[:half]}{'A' if state[half] != 'A' else 'B'}{state[half + 1 :]}"
