"""How often each user may ask over HTTP: so many tasks an hour, and so many other requests a minute.

Hours and minutes are those of the clock (UTC). What is used is counted in the database, so that all processes together
never let more through. Requests are taken from there in small lots, so that few of them cost a write: what a process
has taken and does not use by the end of the minute is lost to the others, at most one lot each.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any, Literal

from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.auth.roles import Operation, Reach, reach
from vel_tutor_mcp.errors import InputError, NotFound, NotYours, TooManyTries
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.services.lookup import account_of
from vel_tutor_mcp.services.permission import acts_for, allows
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import audit, limits
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.isolation import everywhere

LimitScope = Literal["user", "organisation"]

MAX_LIMIT = 1_000_000
_LOT = 20
_MOST_LOTS = 10_000
# Who is refused may have been given more meanwhile: it is looked at anew after so long.
_LOOK_AGAIN = timedelta(seconds=5)


class Quota(StrEnum):
    """What is counted."""

    TASK = "task"
    REQUEST = "request"

    @property
    def window(self) -> timedelta:
        return timedelta(hours=1) if self is Quota.TASK else timedelta(minutes=1)

    @property
    def lot(self) -> int:
        return 1 if self is Quota.TASK else _LOT

    def limit_in(self, given: RateLimits) -> int | None:
        return given.tasks_per_hour if self is Quota.TASK else given.requests_per_minute


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may still ask until then."""

    limit: int
    remaining: int
    resets_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldLimits:
    """What is set for somebody, what holds for them (0: no limit), and what they have used; None for organisations."""

    own: RateLimits
    holding: RateLimits
    used: RateLimits | None

    def shown(self) -> dict[str, Any]:
        told = {"tasks_per_hour": self.own.tasks_per_hour, "requests_per_minute": self.own.requests_per_minute}
        holding = {
            "tasks_per_hour": self.holding.tasks_per_hour,
            "requests_per_minute": self.holding.requests_per_minute,
        }
        used = self.used and {"tasks": self.used.tasks_per_hour, "requests": self.used.requests_per_minute}
        return told | {"effective": holding, "used": used}


@dataclass(slots=True)
class _Lot:
    """What this process has taken and not used: `remaining` is what is left beside it, as of the taking."""

    limit: int
    left: int
    remaining: int
    begins_at: datetime
    until: datetime
    looked_at: datetime


class Rates:
    """Counts who asks, and keeps the limits."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._defaults = RateLimits(settings.tasks_per_hour, settings.requests_per_minute)
        self._lots: dict[tuple[str, Quota], _Lot] = {}
        self._taking = asyncio.Lock()

    async def admit(self, principal: Principal, kind: Quota, count: int = 1) -> Allowance | None:
        """Count so many, all or none; None where there is no limit.

        Raises:
            TooManyTries: the limit is reached; says when it begins anew.
        """
        at = record.now()
        lot = self._lot(principal, kind, at, count)
        if lot is None:
            async with self._taking:  # else everyone who waits would take a lot of their own
                lot = self._lot(principal, kind, at, count) or await self._renewed(principal, kind, at, count)
        resets_at = lot.begins_at + kind.window
        if lot.limit == 0:
            return None
        if lot.left < count:
            wait = max(1, ceil((resets_at - at).total_seconds()))
            raise TooManyTries(
                f"You asked too often; {lot.limit} {_NAMES[kind]} are taken; try again in {wait} s.", wait, lot.limit
            )
        lot.left -= count
        return Allowance(lot.limit, lot.left + lot.remaining, resets_at)

    @allows(Operation.LIMIT_READ)
    @unbroken
    async def get(self, principal: Principal, scope: LimitScope, subject: str) -> ToldLimits:
        """The limits of a user or an organisation.

        Raises:
            NotFound: there is none that the principal may look at.
        """
        async with self._database.read(acts_for(principal, Operation.LIMIT_READ)) as tx:
            return await self._told(tx, scope, await _subject(tx, principal, Operation.LIMIT_READ, scope, subject))

    @allows(Operation.LIMIT_WRITE)
    @unbroken
    async def set(self, principal: Principal, scope: LimitScope, subject: str, given: RateLimits) -> ToldLimits:
        """Set the limits of a user, or of each member of an organisation; None leaves one to whoever is above.

        Raises:
            NotFound: there is none that the principal may limit. InputError: a limit is out of range.
        """
        for name in ("tasks_per_hour", "requests_per_minute"):
            limit = getattr(given, name)
            if limit is not None and not 1 <= limit <= MAX_LIMIT:
                raise InputError(f"`{name}` is out of range; it must be 1 to {MAX_LIMIT:,}; correct it.")
        async with self._database.write(acts_for(principal, Operation.LIMIT_WRITE)) as tx:
            subject_id = await _subject(tx, principal, Operation.LIMIT_WRITE, scope, subject)
            await (limits.set_of_user if scope == "user" else limits.set_of_organisation)(tx, subject_id, given)
            facts = {"tasks_per_hour": given.tasks_per_hour, "requests_per_minute": given.requests_per_minute}
            await audit.append(tx, principal, "rate_limits_set", f"{scope}:{subject_id}", facts, record.now())
            told = await self._told(tx, scope, subject_id)
        self._lots.clear()
        return told

    async def _told(self, tx: Transaction, scope: LimitScope, subject_id: str) -> ToldLimits:
        if scope == "organisation":
            own = await limits.of_organisation(tx, subject_id)
            return ToldLimits(own=own, holding=_first_of(own, self._defaults), used=None)
        own, at = await limits.of_user(tx, subject_id), record.now()
        above = await limits.of_organisation(tx, await limits.organisation_of(tx, subject_id))
        used = [await limits.taken(tx, subject_id, kind, _begins(kind, at)) for kind in (Quota.TASK, Quota.REQUEST)]
        return ToldLimits(own=own, holding=_first_of(own, above, self._defaults), used=RateLimits(*used))

    def _lot(self, principal: Principal, kind: Quota, at: datetime, count: int) -> _Lot | None:
        """What is taken for them already; None where more is to be taken."""
        lot = self._lots.get((principal.user_id, kind))
        if lot is None or not lot.begins_at <= at < lot.until:  # a clock may be set back
            return None
        is_empty = lot.left < count and (lot.remaining > 0 or at >= lot.looked_at + _LOOK_AGAIN)
        return None if is_empty else lot

    async def _renewed(self, principal: Principal, kind: Quota, at: datetime, count: int) -> _Lot:
        if len(self._lots) > _MOST_LOTS:
            self._lots = {key: lot for key, lot in self._lots.items() if at < lot.until}
        earlier = self._lots.get((principal.user_id, kind))
        unused = earlier.left if earlier is not None and earlier.begins_at <= at < earlier.until else 0
        lot = await self._take(principal, kind, at, max(kind.lot, count - unused))
        lot.left += unused if lot.limit else 0
        self._lots[principal.user_id, kind] = lot
        return lot

    @unbroken
    async def _take(self, principal: Principal, kind: Quota, at: datetime, wanted: int) -> _Lot:
        begins_at = _begins(kind, at)
        async with self._database.write(principal.organisation_id) as tx:
            own = await limits.of_user(tx, principal.user_id)
            above = await limits.of_organisation(tx, principal.organisation_id)
            limit = kind.limit_in(_first_of(own, above, self._defaults)) or 0
            if limit == 0:
                return _Lot(0, 0, 0, begins_at, at + _LOOK_AGAIN, at)
            granted = await limits.take(tx, principal, kind, begins_at, wanted, limit)
            remaining = max(0, limit - await limits.taken(tx, principal.user_id, kind, begins_at))
        return _Lot(limit, granted, remaining, begins_at, begins_at + kind.window, at)


_NAMES = {Quota.TASK: "tasks an hour", Quota.REQUEST: "requests a minute"}


def _begins(kind: Quota, at: datetime) -> datetime:
    """When the hour or minute began in which that is."""
    seconds = int(kind.window.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def _first_of(*given: RateLimits) -> RateLimits:
    """Each limit from the first that has it."""

    def first(name: str) -> int | None:
        return next((limit for limits in given if (limit := getattr(limits, name)) is not None), None)

    return RateLimits(first("tasks_per_hour"), first("requests_per_minute"))


async def _subject(tx: Transaction, principal: Principal, operation: Operation, scope: LimitScope, subject: str) -> str:
    if scope == "user":
        return (await account_of(tx, principal, operation, subject)).id
    sentence = "There is no such organisation; none that you look after has this id or name; see your own."
    if not is_text(subject):
        raise NotFound(sentence)
    found = await limits.organisation(tx, subject)
    if found is None:
        async with everywhere(tx):
            elsewhere = await limits.organisation(tx, subject)
        raise NotYours(sentence, f"organisation:{elsewhere}") if elsewhere else NotFound(sentence)
    far = reach(principal.role, operation)
    if far < Reach.ORGANISATION or (far is Reach.ORGANISATION and found != principal.organisation_id):
        raise NotYours(sentence, f"organisation:{found}")
    return found
