"""A person is asked through the client, over every transport and in both protocol eras."""

import pytest
from deployment import TRANSPORTS, Deployment
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult
from server import alone
from world import ERAS, Era, Providers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "deployment", [(transport, "sqlite") for transport in TRANSPORTS], indirect=True, ids="-".join
    ),
]

ASKS = {"id": "ok", "kind": "approval", "prompt": "Publish it?", "human": True}


@pytest.mark.parametrize("era", ERAS)
async def test_the_person_at_the_client_decides(deployment: Deployment, providers: Providers, era: Era) -> None:
    asked = list[str]()

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's names
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True, "comment": "Yes"})

    async with deployment.client(era, alone(providers.groq), elicitation_callback=answer) as client:
        await client.call_tool("workflow_save", {"name": "ask", "definition": {"steps": [ASKS]}})
        begun = (await client.call_tool("workflow_run", {"workflow": "ask"})).structured_content or {}
        decision = {"run": begun["id"], "step": "ok", "approve": False}
        told = (await client.call_tool("workflow_decide", decision)).structured_content or {}

    assert asked == ["The workflow ask asks for your approval (ok):\n\nPublish it?"]
    assert (begun["status"], told["status"]) == ("awaiting_approval", "completed")
    assert (told["output"]["how"], told["output"]["comment"]) == ("elicited", "Yes")
