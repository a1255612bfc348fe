"""Five tries a minute for each account and each address, exact over all processes on the database."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from vel_tutor_mcp.errors import TooManyTries
from vel_tutor_mcp.services import record
from vel_tutor_mcp.store import tries
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken

LIMIT = 5
WINDOW = timedelta(seconds=60)


async def admit(database: Database, subjects: Sequence[str], refused: Callable[[Transaction], Awaitable[None]]) -> None:
    """Count a try of all these subjects; the first that is refused in a minute is also told to `refused`, to record it.

    Raises:
        TooManyTries: one of them was tried too often in the last minute; then the try does not count.
    """
    # Who was refused and told so costs a look, and nobody else the writer's lock.
    standing = await _look(database, subjects)
    if standing.wait is None or standing.untold:
        standing = await _count(database, subjects, refused)
    if standing.wait is not None:
        raise TooManyTries(
            f"This was tried too often; {LIMIT} tries a minute are looked at; try again in {standing.wait} s.",
            retry_after=standing.wait,
        )


@dataclass(frozen=True, slots=True)
class _Standing:
    """In how many seconds all may try again, None for now; and who may not yet and was not refused in this minute."""

    wait: int | None
    untold: tuple[str, ...]


@unbroken
async def _look(database: Database, subjects: Sequence[str]) -> _Standing:
    async with database.read(INSTALLATION) as tx:
        return await _standing(tx, subjects, record.now())


@unbroken
async def _count(
    database: Database, subjects: Sequence[str], refused: Callable[[Transaction], Awaitable[None]]
) -> _Standing:
    async with database.write(INSTALLATION) as tx:
        at = record.now()
        await tries.forget(tx, at - WINDOW)
        standing = await _standing(tx, subjects, at)
        if standing.wait is None:
            await tries.note(tx, subjects, at)
        elif standing.untold:
            await tries.note(tx, standing.untold, at, refused=True)
            await refused(tx)
        return standing


async def _standing(tx: Transaction, subjects: Sequence[str], at: datetime) -> _Standing:
    waits, untold = [], []
    for subject in subjects:
        moments, was_refused = await tries.of(tx, subject, at - WINDOW)
        if len(moments) >= LIMIT:
            waits.append(max(1, ceil((moments[-LIMIT] + WINDOW - at).total_seconds())))
            untold += [] if was_refused else [subject]
    return _Standing(max(waits, default=None), tuple(untold))
