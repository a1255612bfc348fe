"""A streamed answer of the gateway, as it leaves the product."""

import json
from typing import Any

import pytest
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.events import HEARTBEAT
from vel_tutor_mcp.doors.gateway.chat import Answer
from vel_tutor_mcp.doors.gateway.told import DONE
from vel_tutor_mcp.doors.rest.asking import Asked
from vel_tutor_mcp.models import Principal, TaskRequest

pytestmark = pytest.mark.anyio

WORDS = "one two three four five six seven eight nine ten"


def said(line: str) -> str:
    (choice,) = json.loads(line.removeprefix("data: "))["choices"]
    return str(choice["delta"].get("content", ""))


@pytest.mark.parametrize("is_written_along", [True, False])
async def test_signs_of_life_between_the_pieces_take_nothing_from_the_answer(
    app: App, me: Principal, providers: Providers, is_written_along: bool
) -> None:
    for provider in (providers.openai, providers.groq):
        provider.tokens_per_second, provider.answer = 50, lambda _: WORDS
    task = await app.tasks.submit(me, TaskRequest(prompt="Count to ten"))
    options: dict[str, Any] = {"is_written_along": is_written_along, "with_usage": False, "may_be_left": False}
    answer = Answer(Asked(app, me, None, ""), task, **options, heartbeat_seconds=0.002)
    lines = [line async for line in answer.lines()]
    assert lines.count(HEARTBEAT) > 3
    assert "".join(said(line) for line in lines if line not in {HEARTBEAT, DONE}) == WORDS
