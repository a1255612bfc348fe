"""The product, opened in the command's own process for as long as the command takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from vel_tutor_mcp.doors import process
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.tracing import spans

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App

Result = TypeVar("Result")


class Told(Protocol):
    """How a task or a run stands."""

    @property
    def status(self) -> TaskStatus: ...


Standing = TypeVar("Standing", bound=Told)


def with_app(work: "Callable[[App], Awaitable[Result]]", *, only_look: bool = False, guest: bool = False) -> Result:
    """What the work returns. `only_look` is for commands that leave at once and so should begin no task; see `open_app`
    for `guest`.

    Raises:
        ConfigurationError: the product could not be opened; says why.
        KeyboardInterrupt: Ctrl-C; the product was closed in good order.
    """
    from vel_tutor_mcp.app import open_app
    from vel_tutor_mcp.settings import load_settings

    settings = load_settings()
    if only_look:
        settings = settings.model_copy(update={"concurrency": 0})
    process.log(settings)

    async def opened() -> Result:
        async with open_app(settings, guest=guest or only_look) as app:
            return await work(app)

    try:
        return asyncio.run(opened())
    finally:
        spans.end()


async def waited_for(look: Callable[[float], Awaitable[Standing]], seconds: float | None) -> Standing:
    """How it stands at its end, when it asks for an approval, or after so many seconds (None: without limit), however
    short the waits are that `look` makes.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (float("inf") if seconds is None else seconds)
    while True:
        told = await look(max(0.0, deadline - loop.time()))
        if told.status.ended or told.status is TaskStatus.AWAITING_APPROVAL or loop.time() >= deadline:
            return told
