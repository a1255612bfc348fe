"""Cues that something has changed, for those who follow it and may still see it; whoever is told looks for themselves.

What is stored says whether there was a change: each thing has a stamp (`store.stamps`), and those of what is followed
are read every second, and at once where news come. So it does not matter which process did it, or which signal got
lost on the way: a change is told a little later then.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import Conflict, VelError
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.news import Followed
from vel_tutor_mcp.services.areas import Areas, Changed
from vel_tutor_mcp.services.lookup import run_of, task_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import people, runs, stamps, tasks
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken

# So that one user's programs leave room for others', and all of them for work.
MOST_OF_A_USER = 1000
_LOOK_SECONDS = 1.0
# At most four looks a second: changes of that time are told as one.
_PAUSE_SECONDS = 0.25

Tell = Callable[[], None]
"""Is called where something has changed; must return at once, and raise nothing."""
End = Callable[[], None]
"""Ends the following; does nothing the second time."""

_log = logging.getLogger(__name__)

_STAMPS: Mapping[Followed, Callable[[Transaction, Collection[str]], Awaitable[stamps.Stamps]]] = {
    Followed.TASK: stamps.of_tasks,
    Followed.OUTPUT: stamps.of_outputs,
    Followed.RUN: stamps.of_runs,
    Followed.RECENT: stamps.of_recent,
    Followed.TEMPLATES: stamps.of_templates,
}
# Those of a person, whose id they have.
_OWN = frozenset({Followed.RECENT, Followed.TEMPLATES})


class _Subject(NamedTuple):
    kind: Followed
    id: str


@dataclass(frozen=True, slots=True, eq=False)
class _Follower:
    user_id: str
    tell: Tell


@dataclass(slots=True, eq=False)
class _Followed:
    stamp: Hashable
    followers: set[_Follower] = field(default_factory=set)


class Changes:
    """Tells those who follow something that it has changed, at most four times a second each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._areas = Areas(database)
        self._followed: dict[_Subject, _Followed] = {}
        self._counts: Counter[tuple[str, Followed]] = Counter()
        self._anybody = asyncio.Event()
        self._cued: set[_Subject] = set()
        self._wake = asyncio.Event()
        self._all_at = 0.0

    @property
    def followed(self) -> int:
        """How many things are followed."""
        return len(self._followed)

    def cue(self, thing_id: str) -> None:
        """There may be something new of this task or run, or in this person's lists: look soon."""
        self._areas.cue()
        cued = {subject for kind in Followed if (subject := _Subject(kind, thing_id)) in self._followed}
        if cued:
            self._cued |= cued
            self._wake.set()

    @allows(Operation.TASK_READ)
    async def task(self, principal: Principal, task_id: str, tell: Tell) -> End:
        """Follow the task.

        Raises:
            NotFound: there is no such task that the principal may see. Conflict: they follow too much.
        """
        return await self._follow(principal, Followed.TASK, task_id, tell)

    @allows(Operation.TASK_READ)
    async def output(self, principal: Principal, task_id: str, tell: Tell) -> End:
        """Follow the output of the task; raises as `task`."""
        return await self._follow(principal, Followed.OUTPUT, task_id, tell)

    @allows(Operation.RUN_READ)
    async def run(self, principal: Principal, run_id: str, tell: Tell) -> End:
        """Follow the run.

        Raises:
            NotFound: there is no such run that the principal may see. Conflict: they follow too much.
        """
        return await self._follow(principal, Followed.RUN, run_id, tell)

    @allows(Operation.TASK_READ)
    async def recent(self, principal: Principal, tell: Tell) -> End:
        """Follow the 20 newest tasks that the principal may see.

        Raises:
            Conflict: they follow too much.
        """
        return await self._follow(principal, Followed.RECENT, principal.user_id, tell)

    @allows(Operation.WORKFLOW_READ)
    async def templates(self, principal: Principal, tell: Tell) -> End:
        """Follow which templates the principal has, and what they are.

        Raises:
            Conflict: they follow too much.
        """
        return await self._follow(principal, Followed.TEMPLATES, principal.user_id, tell)

    @allows(Operation.PROFILE_READ)
    async def areas(self, principal: Principal, since: str, seconds: float) -> Changed:
        """Of all that the principal may see, what has changed since the stamp `since`; empty: everything has.

        Waits for a change, at most `seconds` and while the product is open.
        """
        return await self._areas.changed(principal, since, seconds)

    async def loop(self) -> None:
        """Look for changes while anybody follows anything, until cancelled: then nobody waits for any."""
        try:
            await self._look_for_ever()
        finally:
            self._areas.end()

    async def _look_for_ever(self) -> None:
        while True:
            await self._anybody.wait()
            try:
                for follower in await self._look(self._due()):
                    follower.tell()
            except VelError as problem:
                _log.debug("Changes could not be read; %s", problem)
            except Exception:  # noqa: BLE001 - a fault of one look must not end the telling
                _log.exception("The look for changes met a fault and goes on.")
            await asyncio.sleep(_PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS - _PAUSE_SECONDS):
                    await self._wake.wait()

    async def _follow(self, principal: Principal, kind: Followed, thing_id: str, tell: Tell) -> End:
        subject, stamp = await self._found(principal, kind, thing_id)
        # Nothing is awaited from here on: whoever was cancelled before follows nothing, all others can end it.
        return self._begin(subject, stamp, _Follower(principal.user_id, tell))

    @unbroken
    async def _found(self, principal: Principal, kind: Followed, thing_id: str) -> tuple[_Subject, Hashable]:
        async with self._database.read(principal.organisation_id) as tx:
            if kind is Followed.RUN:
                thing_id = (await run_of(tx, principal, thing_id)).id
            elif kind not in _OWN:
                thing_id = (await task_of(tx, principal, thing_id)).id
            return _Subject(kind, thing_id), (await _STAMPS[kind](tx, [thing_id])).get(thing_id)

    def _begin(self, subject: _Subject, stamp: Hashable, follower: _Follower) -> End:
        if self._counts[follower.user_id, subject.kind] >= MOST_OF_A_USER:
            raise Conflict(
                f"You follow too much at once; {MOST_OF_A_USER:,} subscriptions of a kind are what one user may have "
                "on a server; end some first."
            )
        followed = self._followed.setdefault(subject, _Followed(stamp))
        followed.followers.add(follower)
        self._counts[follower.user_id, subject.kind] += 1
        self._anybody.set()

        def end() -> None:
            if follower in followed.followers:
                followed.followers.discard(follower)
                self._forget(subject, follower.user_id)

        return end

    def _forget(self, subject: _Subject, user_id: str) -> None:
        """One follower less."""
        self._counts[user_id, subject.kind] -= 1
        if not self._counts[user_id, subject.kind]:
            del self._counts[user_id, subject.kind]
        if not self._followed[subject].followers:
            del self._followed[subject]
        if not self._followed:
            self._anybody.clear()

    def _due(self) -> set[_Subject]:
        """What to look at: everything once a second, and what was cued."""
        due, self._cued = self._cued & self._followed.keys(), set()
        # Before the look: what is cued during it is looked at by the next one.
        self._wake.clear()
        at = asyncio.get_running_loop().time()
        if at < self._all_at:
            return due
        self._all_at = at + _LOOK_SECONDS
        return set(self._followed)

    @unbroken
    async def _look(self, due: set[_Subject]) -> list[_Follower]:
        """Those who are to be told."""
        if not due:
            return []
        async with self._database.read(INSTALLATION) as tx:
            changed = await self._changed(tx, due)
            told = await self._told(tx, changed)
        # Only now: had the look failed, the next one would find the change again.
        for subject, stamp in changed.items():
            if subject in self._followed:
                self._followed[subject].stamp = stamp
        return told

    async def _changed(self, tx: Transaction, due: set[_Subject]) -> dict[_Subject, Hashable]:
        """The new stamps of what has another one."""
        changed = {}
        for kind in Followed:
            ids = {subject.id for subject in due if subject.kind is kind}
            found = await _STAMPS[kind](tx, ids) if ids else {}
            for subject in (_Subject(kind, thing_id) for thing_id in ids):
                followed = self._followed.get(subject)
                if followed and followed.stamp != found.get(subject.id):
                    changed[subject] = found.get(subject.id)
        return changed

    async def _told(self, tx: Transaction, changed: Collection[_Subject]) -> list[_Follower]:
        """Who follows what has changed, as far as they may still see it: roles change."""
        told = []
        for subject in changed:
            followed = self._followed.get(subject)
            followers = set(followed.followers) if followed else set()
            users = {follower.user_id for follower in followers}
            seeing = {user_id for user_id in users if await _sees(tx, user_id, subject)}
            told += [follower for follower in followers if follower.user_id in seeing]
        return told


async def _sees(tx: Transaction, user_id: str, subject: _Subject) -> bool:
    if subject.kind in _OWN:
        return user_id == subject.id
    find = runs.find if subject.kind is Followed.RUN else tasks.find
    return await find(tx, await people.principal(tx, user_id), subject.id) is not None
