"""Work in a thread of its own."""

import pytest

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.bearings import at_hand, take_up

pytestmark = pytest.mark.anyio


async def test_what_a_thread_logs_is_about_what_it_was_begun_for() -> None:
    take_up(task="one")

    assert await in_thread(at_hand) == {"task": "one"}
