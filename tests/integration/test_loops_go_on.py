"""Loops that nobody watches: what they meet is logged, and they look again."""

import asyncio
import logging

import pytest
from waits import until

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.services.wire import Ears, ReadingWire
from vel_tutor_mcp.settings import Settings

pytestmark = pytest.mark.anyio


async def test_the_bridge_looks_again_once_its_folder_can_be_used(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vel_tutor_mcp.services.bridge")
    in_the_way = settings.home / "projects"
    settings.home.mkdir(exist_ok=True)
    in_the_way.write_text("no folder")
    async with open_app(settings):
        await until(lambda: "The bridge cannot look for work now" in caplog.text)
        in_the_way.unlink()
        await until((in_the_way / "home").exists)


async def test_a_process_hears_the_others_again_after_a_fault(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[str] = []

    def elsewhere() -> set[str]:
        looks.append("look")
        assert len(looks) > 1
        return {"a task"}

    async with open_app(settings) as app:
        ears = Ears(lambda *_: None, lambda _: None, lambda: None, elsewhere)
        hearing = asyncio.create_task(ReadingWire(app._parts.database, "here").listen(ears))
        await until(lambda: len(looks) > 2)
        hearing.cancel()
        await asyncio.wait({hearing}, timeout=10)

    assert caplog.text.count("Listening to other processes met a fault and goes on.") == 1
