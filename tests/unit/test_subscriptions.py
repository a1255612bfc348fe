"""What a server says of subscriptions, before there is a product behind it."""

import pytest
from mcp import Client
from world import ERAS, Era

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_both_eras_are_told_the_same_of_what_changes(era: Era) -> None:
    async with Client(make_server(Desk()), mode=era) as client:
        told = client.server_capabilities
    assert told.resources
    assert told.prompts
    assert told.tools
    assert (told.resources.subscribe, told.resources.list_changed) == (True, False)
    assert (told.prompts.list_changed, told.tools.list_changed) == (True, False)
