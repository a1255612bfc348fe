"""A home that cannot be written: at the first start, under a running server, at the next one."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import COMMAND
from server import Server, ToolRefused, alone, one_sentence, serving
from world import Providers

# The administrator writes where modes forbid it, unless that is taken away.
AS_ADMINISTRATOR = sys.platform == "linux" and os.geteuid() == 0
HELD_TO_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if AS_ADMINISTRATOR else ()
OBEDIENT = (*HELD_TO_MODES, *COMMAND)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's"),
    pytest.mark.skipif(
        "CI" not in os.environ and AS_ADMINISTRATOR and not shutil.which("setpriv"), reason="modes do not bind root"
    ),
]


@contextmanager
def read_only(home: Path) -> Iterator[None]:
    """Nothing in it can be made or changed by who opens it anew."""
    modes = {path: path.stat().st_mode for path in (*home.rglob("*"), home)}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


async def refusal(server: Server) -> str:
    with pytest.raises(ToolRefused) as refused:
        await server.call("task_submit", prompt="Say hello", wait_seconds=20)
    assert one_sentence(str(refused.value)), refused.value
    return str(refused.value)


async def test_a_home_that_cannot_be_written_at_the_first_start_is_named_and_the_next_start_succeeds(
    tmp_path: Path, providers: Providers
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with read_only(home):
        async with serving(tmp_path, alone(providers.groq), OBEDIENT) as server:
            sentence = await refusal(server)
        assert list(home.iterdir()) == []
    async with serving(tmp_path, alone(providers.groq)) as server:
        task = await server.call("task_submit", prompt="Say hello", wait_seconds=20)

    assert str(home) in sentence
    assert "VEL_TUTOR_HOME" in sentence
    assert task["status"] == "completed"


async def test_a_home_that_becomes_read_only_loses_nothing_and_is_told_at_the_next_start(
    tmp_path: Path, providers: Providers
) -> None:
    async with serving(tmp_path, alone(providers.groq), OBEDIENT) as server:
        made = [await server.call("task_submit", prompt="Say one", wait_seconds=20)]
        with read_only(server.home):
            # What it has open it may go on to write.
            made.append(await server.call("task_submit", prompt="Say two", wait_seconds=20))
        made.append(await server.call("task_submit", prompt="Say three", wait_seconds=20))
    with read_only(server.home):
        async with serving(tmp_path, alone(providers.groq), OBEDIENT) as server:
            sentence = await refusal(server)
    async with serving(tmp_path, alone(providers.groq)) as server:
        kept = [await server.call("task_get", id=task["id"]) for task in made]

    assert str(server.home) in sentence
    assert {task["status"] for task in kept} == {"completed"}
    assert kept == made
    assert len(providers.groq.requests) == 3
