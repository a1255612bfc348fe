"""A process that only runs work: the product without a door, beside the servers of the same database."""

import asyncio
from typing import NoReturn

from vel_tutor_mcp.doors import process
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.opening import Opening
from vel_tutor_mcp.doors.reply import exit_code
from vel_tutor_mcp.settings import Settings


def work(settings: Settings) -> NoReturn:
    """Run what there is to run until a signal comes."""
    process.run(settings, _work(settings))


async def _work(settings: Settings) -> None:
    desk = Desk()
    opening = Opening(settings, desk)
    process.Signals(opening.stop).listen()
    await opening.begin()
    if desk.problem is not None:  # the log has its sentence
        process.leave(exit_code(desk.problem))
    process.say("the worker runs; Ctrl-C or SIGTERM stops it.")
    await asyncio.Event().wait()
