"""Hedging: a second request, to another provider, where the first token is late. The first to say a word goes on alone.

When one is made is decided by pure functions and a counter, without a clock; `Race` runs the calls, whatever they are.
"""

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from vel_tutor_mcp.models import Candidate
from vel_tutor_mcp.providers.base import Delta
from vel_tutor_mcp.routing.retry import Failure

SHARE = 0.1
LATE = 0.9
# Of a model's first tokens so many are remembered, and as few say nothing yet of what is late.
MOST_TIMES, LEAST_TIMES = 100, 20
# Counts are halved here, so that a quiet day does not pay for a burst of hedges.
_MOST_REQUESTS = 1000

Entry = TypeVar("Entry")
Result = TypeVar("Result")


class Hedging:
    """When a second request may be made: what is late for each model, and a share of all requests."""

    def __init__(self) -> None:
        self._times: defaultdict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=MOST_TIMES))
        self._requests = 0.0
        self._hedges = 0.0

    def heard(self, candidate: Candidate, seconds: float) -> None:
        """The model's first token came after so long, or, where the call was given up for another, not before."""
        self._times[candidate.provider, candidate.model].append(seconds)

    def patience(self, candidate: Candidate) -> float | None:
        """Seconds within which nine of ten of the model's first tokens come; None where too few are known."""
        times = sorted(self._times.get((candidate.provider, candidate.model), ()))
        return times[math.ceil(LATE * len(times)) - 1] if len(times) >= LEAST_TIMES else None

    def forget(self, line: str) -> None:
        """The line is closed."""
        for known in [key for key in self._times if key[0] == line]:
            del self._times[known]

    def count(self) -> None:
        """A request is made."""
        self._requests += 1
        if self._requests >= _MOST_REQUESTS:
            # Hedges are at most their share of requests before and after it, so of all that ever were, too.
            self._requests, self._hedges = self._requests / 2, self._hedges / 2

    def take(self) -> bool:
        """Whether one more hedge is within the share; it then counts."""
        if self._hedges + 1 > SHARE * self._requests:
            return False
        self._hedges += 1
        return True


def second(candidates: Sequence[Candidate], failures: Sequence[Failure], first: Candidate) -> Candidate | None:
    """Whom to ask beside the first: the next candidate of another provider that has not failed."""
    failed = {failure.provider for failure in failures if failure.failure is not None}
    others = (candidate for candidate in candidates if candidate.provider not in {first.provider, *failed})
    return next(others, None)


class Race(Generic[Entry, Result]):
    """Calls, of which the first to say a word, or else to answer, wins. Whoever still runs at its end is cut."""

    def __init__(self) -> None:
        self.winner: Entry | None = None
        self._word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls: dict[asyncio.Task[Result], Entry] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cut(list(self._calls))

    @property
    def is_open(self) -> bool:
        """Whether nobody has said a word, and somebody may yet."""
        return self.winner is None and not all(call.done() for call in self._calls)

    @property
    def runs(self) -> bool:
        return bool(self._calls)

    def run(
        self, entry: Entry, call: Callable[[Delta], Coroutine[Any, Any, Result]], on_delta: Delta
    ) -> asyncio.Task[Result]:
        """Let it take part; only what the winner says reaches its `on_delta`."""

        def hear(text: str) -> None:
            if self.wins(entry):
                on_delta(text)

        running = asyncio.create_task(call(hear))
        self._calls[running] = entry
        return running

    def wins(self, entry: Entry) -> bool:
        """Whether it is the winner, as it becomes where there is none yet."""
        if self.winner is None:
            self.winner = entry
            self._word.set_result(None)
        return self.winner is entry

    async def news(self, seconds: float | None = None) -> None:
        """Until the first word is said or a call ends, at most so long."""
        awaited: set[asyncio.Future[Any]] = set(self._calls)
        if not self._word.done():
            awaited.add(self._word)
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def ended(self) -> list[tuple[Entry, Result]]:
        """The calls that have ended since it was asked last, with what came of them."""
        done = [call for call in self._calls if call.done()]
        return [(self._calls.pop(call), call.result()) for call in done]

    async def losers(self) -> list[Entry]:
        """Those that run although another has won; their connections are closed when this returns."""
        if self.winner is None:
            return []
        calls = [call for call, entry in self._calls.items() if entry is not self.winner]
        return await self._cut(calls)

    async def _cut(self, calls: Sequence[asyncio.Task[Result]]) -> list[Entry]:
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        # What one answers in the moment in which it is stopped is not used; a fault of ours there would repeat itself.
        return [self._calls.pop(call) for call in calls]
