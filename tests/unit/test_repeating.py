"""What a process does again and again, and no fault ends."""

import asyncio
import logging

import pytest

from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.services.repeating import AS_WARNING, Wording, repeated

pytestmark = pytest.mark.anyio

_LOG = logging.getLogger("vel_tutor_mcp.tests.repeating")
_LOCKED = Unavailable("The look waits; the database is locked; it is tried again.")


@pytest.mark.parametrize(
    ("met", "wording", "level", "said"),
    [
        (_LOCKED, AS_WARNING, logging.WARNING, str(_LOCKED)),
        (_LOCKED, Wording(logging.DEBUG, "No look now: %s"), logging.DEBUG, f"No look now: {_LOCKED}"),
        (KeyError("a bug"), AS_WARNING, logging.ERROR, "The look met a fault and goes on."),
    ],
)
async def test_what_met_a_fault_is_logged_once_and_done_again(
    met: Exception, wording: Wording, level: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, _LOG.name)
    faults = [met]
    done = asyncio.Event()

    async def once() -> None:
        if faults:
            raise faults.pop()
        done.set()

    looking = asyncio.create_task(repeated(once, 0, _LOG, "The look", wording=wording))
    async with asyncio.timeout(20):
        await done.wait()
    looking.cancel()
    await asyncio.wait({looking}, timeout=10)

    assert looking.cancelled()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, said)]
