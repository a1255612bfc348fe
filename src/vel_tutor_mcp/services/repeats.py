"""Requests that come again with the same key are answered as the first time, for a day, and done once.

Tasks, runs and comparisons keep their keys themselves, in the transaction that stores them (`made_before`). For all
else a process that dies between the work and its answer leaves a key that is free again after a minute: the request
would be done once more.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import Request, body_hash, check_key
from vel_tutor_mcp.store import repeats
from vel_tutor_mcp.store.audit_chain import canonical
from vel_tutor_mcp.store.database import Database, Transaction, unbroken

KEPT = timedelta(hours=24)
_AT_WORK = timedelta(minutes=1)

ByKey = Callable[[Transaction, Principal, str], Awaitable[tuple[str, str] | None]]
"""The id of what came of the request with this key, and the hash of that request's body."""


class Repeats:
    """Keeps answers by the keys of their requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @unbroken
    async def begin(self, principal: Principal, key: str, request: Any) -> tuple[int, str] | None:
        """The answer that the request had; None where it is to be done now, and then to be ended or forgotten.

        Raises:
            InputError: the key is out of bounds. Conflict: it stands for another request, or the first is at work.
        """
        check_key(key)
        body_hash = hashlib.sha256(canonical(request).encode()).hexdigest()
        async with self._database.write(principal.organisation_id) as tx:
            at = record.now()
            await repeats.forget_before(tx, at - KEPT)
            earlier = await repeats.find(tx, principal, key)
            if earlier is not None and earlier.body_hash != body_hash:
                raise Conflict(
                    "This idempotency key was used for another request; a key stands for one request; use a new key, "
                    "or send the same request again."
                )
            if earlier is not None and earlier.status is not None:
                return earlier.status, earlier.answer or ""
            if earlier is not None and at - earlier.at < _AT_WORK:
                raise Conflict("The first request with this key is still at work; try again in a moment.")
            await repeats.begin(tx, principal, key, body_hash, at)
        return None

    @unbroken
    async def end(self, principal: Principal, key: str, status: int, answer: str) -> None:
        """Keep the answer."""
        async with self._database.write(principal.organisation_id) as tx:
            await repeats.end(tx, principal, key, status, answer)

    @unbroken
    async def forget(self, principal: Principal, key: str) -> None:
        """The request was not done: it may be tried again with its key."""
        async with self._database.write(principal.organisation_id) as tx:
            await repeats.forget(tx, principal, key)


async def made_before(tx: Transaction, principal: Principal, what: str, request: Request, by_key: ByKey) -> str | None:
    """The id of the task, run or comparison that came of the same request before; None where none did.

    Raises:
        Conflict: the key stands for another request; names `what` came of that.
    """
    earlier = None if request.idempotency_key is None else await by_key(tx, principal, request.idempotency_key)
    if earlier is None:
        return None
    made, its_hash = earlier
    if body_hash(request) != its_hash:
        raise Conflict(
            f"This idempotency key was used for {what} {made} with another request; a key stands for one request; use "
            "a new key, or send the same request again."
        )
    return made
