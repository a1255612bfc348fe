"""Changes that must not be lost to a database that is away or full for a while: they are tried until they succeed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vel_tutor_mcp.errors import ConfigurationError, Unavailable

_PAUSES_SECONDS = (0.25, 0.5, 1.0, 2.0, 3.0)

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def persisted(change: Callable[[], Awaitable[Result]]) -> Result:
    """Make the change, again and again while the database refuses it; cancel it to give up.

    A connection that breaks in the very commit leaves open whether it was made: the change must find out by itself.
    """
    tries = 0
    while True:
        try:
            return await change()
        # A folder that is not writable is a ConfigurationError: somebody may mend it meanwhile.
        except (Unavailable, ConfigurationError) as problem:
            if tries == 0:
                _log.warning("A change waits for the database; %s", problem)
            await asyncio.sleep(_PAUSES_SECONDS[min(tries, len(_PAUSES_SECONDS) - 1)])
            tries += 1
