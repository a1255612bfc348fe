"""The desk: calls wait for the product, are told why it is away, and find it when it is there after all."""

import asyncio
from typing import Any, cast

import pytest
from waits import turns

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors import opening
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.errors import Unauthenticated, Unavailable

pytestmark = pytest.mark.anyio


class Open:
    """As much of a product as the desk looks at."""

    local_principal = "somebody"


async def test_a_call_waits_until_the_product_is_open() -> None:
    desk = Desk()
    entering = asyncio.create_task(desk.enter())
    await turns()
    assert not entering.done()

    desk.opened(cast("Any", Open()))

    assert (await entering)[1] == cast("Any", "somebody")


async def test_a_product_that_is_open_after_all_is_found() -> None:
    desk = Desk()
    desk.failed(Unavailable("The database is away."))
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await desk.enter()
    desk.opened(cast("Any", Open()))

    assert desk.problem is None
    assert (await desk.enter())[1] == cast("Any", "somebody")
    frames = []
    trace = refused.value.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    assert len(frames) == 3  # this test and the desk's two: not those of the earlier calls


async def test_an_unknown_fault_that_keeps_it_from_opening_is_told_by_its_kind_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def prepare(_: object) -> Any:
        raise LookupError("postgresql://me:secret@host/db is not understood")

    monkeypatch.setattr(opening, "_prepare", prepare)
    desk = Desk()
    await opening.Opening(cast("Any", None), desk)._run()

    assert str(desk.problem) == (
        "The server could not start; it met an unexpected LookupError; its log on stderr has the details."
    )
    assert "is not understood" in caplog.text


async def test_where_tokens_are_asked_for_nobody_without_one_is_taken_for_the_local_user() -> None:
    desk = Desk(local=False)
    desk.opened(cast("Any", Open()))

    with pytest.raises(Unauthenticated):
        await desk.enter()
    with pytest.raises(Unauthenticated):
        desk.lets(Operation.TASK_READ)
    assert Desk().lets(Operation.USER_WRITE)
