"""One call: in the pace that its provider allows, booked, made, and learned from."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import Candidate, FailureKind
from vel_tutor_mcp.providers.base import Announced, ChatRequest, Completion, Delta, Provider
from vel_tutor_mcp.routing.book import Book, Ended, Paced, Slot
from vel_tutor_mcp.routing.health import BreakerState, Health
from vel_tutor_mcp.routing.hedge import Hedging
from vel_tutor_mcp.routing.pace import Pace, Pass
from vel_tutor_mcp.routing.retry import LONGEST_WAIT_SECONDS, Failure, Wait
from vel_tutor_mcp.routing.warmth import Warmth

# For a rate limit: so long in the place that the task has; longer ones are waited for without it.
SHORT_PAUSE_SECONDS = 2.0
_WORTH_TELLING_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class Opened(Generic[Slot]):
    """A call that is booked and may be made."""

    candidate: Candidate
    slot: Slot
    request: ChatRequest
    on_delta: Delta
    given: Pass
    begun: float


def elapsed() -> float:
    """Seconds of the loop's clock, to measure with."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What calls are made with, and what is remembered of them. `clock` gives epoch seconds."""

    providers: Mapping[str, Provider]
    health: Health
    pace: Pace
    warmth: Warmth
    hedging: Hedging | None
    clock: Callable[[], float]

    async def open(
        self,
        candidate: Candidate,
        book: Book[Slot],
        *,
        repairs: Failure | None = None,
        beside: Candidate | None = None,
        longest_wait: float = LONGEST_WAIT_SECONDS,
    ) -> Opened[Slot] | ProviderError:
        """A call that is booked; what stands against it is told like a call that failed.

        So is a rate limit that takes no call for more than `longest_wait` seconds.
        """
        if (circuit := self._circuit(candidate)) is not None:
            return circuit
        given = await self._in_pace(candidate, book, 0.0 if beside else SHORT_PAUSE_SECONDS, longest_wait)
        if isinstance(given, ProviderError):
            return given
        # It may have opened during the pause.
        if (circuit := self._circuit(candidate)) is not None:
            self.pace.end(candidate.provider, candidate.model, given)
            return circuit
        self.health.start(candidate.provider, candidate.model, self.clock())
        try:
            slot, request, on_delta = await book.open(candidate, repairs=repairs, beside=beside)
        except BaseException as obstacle:
            self.leave(candidate, given)
            if isinstance(obstacle, ProviderError):
                return obstacle
            raise
        return Opened(candidate, slot, request, on_delta, given, elapsed())

    def _circuit(self, candidate: Candidate) -> ProviderError | None:
        now = self.clock()
        until = self.health.open_until(candidate.provider, candidate.model, now)
        if until is None:
            return None
        return ProviderError("circuit open", kind=FailureKind.SERVER_ERROR, retry_after=until - now)

    def is_free(self, candidate: Candidate, tokens: int) -> bool:
        """Whether a call that counts so many tokens could be made at once, or after a short pause."""
        now = self.clock()
        delay = self.pace.delay(candidate.provider, candidate.model, tokens, now)
        return delay <= SHORT_PAUSE_SECONDS and self.health.allows(candidate.provider, candidate.model, now)

    async def _in_pace(
        self, candidate: Candidate, book: Book[Slot], patience: float, longest_wait: float
    ) -> Pass | ProviderError:
        """Leave to call without passing a rate limit: at once, or after a short pause.

        Raises:
            Paced: it takes longer than the patience.
        """
        told = False
        while True:
            given = self.pace.begin(candidate.provider, candidate.model, book.tokens, self.clock())
            if isinstance(given, Pass):
                return given
            if given > longest_wait:
                return ProviderError("rate limit used up", kind=FailureKind.RATE_LIMITED, retry_after=given)
            if given > patience:
                raise Paced(candidate, given)
            if not told and given >= _WORTH_TELLING_SECONDS:
                await book.wait(Wait(given, candidate, limited=True))
                told = True
            await asyncio.sleep(given)
            patience -= given

    async def call(self, opened: Opened[Slot], on_delta: Delta, book: Book[Slot]) -> Ended:
        """Make the call, and learn from how it ended."""
        candidate, completion, failure = opened.candidate, None, None
        try:
            completion = await self.providers[candidate.provider].complete(
                opened.request, on_delta, lambda limits: self._hear_limits(opened, limits)
            )
            completion = book.accepted(completion)
        except ProviderError as problem:
            failure = problem
        except BaseException:
            self.leave(candidate, opened.given)
            raise
        self.in_pace_no_more(opened)
        total_ms = round((elapsed() - opened.begun) * 1000)
        return Ended(
            completion=completion,
            failure=failure,
            total_ms=total_ms,
            breaker=self._remember(opened, completion, failure, total_ms),
        )

    def _remember(
        self, opened: Opened[Slot], completion: Completion | None, failure: ProviderError | None, total_ms: int
    ) -> BreakerState | None:
        """Learn from how a call ended; the breaker's new state, where that changed it."""
        candidate, now = opened.candidate, self.clock()
        if completion is not None:
            self.warmth.sent(candidate.name, opened.request, now)
            if self.hedging is not None and completion.first_token_ms is not None:
                self.hedging.heard(candidate, completion.first_token_ms / 1000)
        if failure is not None and failure.kind is FailureKind.RATE_LIMITED and failure.retry_after:
            self.pace.refused(candidate.provider, candidate.model, failure.retry_after, now)
        if failure is not None and not failure.telling:
            self.health.release(candidate.provider, candidate.model)
            return None
        return self.health.record(
            candidate.provider,
            candidate.model,
            failure.kind if failure else None,
            now,
            first_token_ms=completion.first_token_ms if completion else None,
            total_ms=total_ms,
            tokens_out=completion.tokens_out if completion else None,
        )

    def _hear_limits(self, opened: Opened[Slot], limits: Announced) -> None:
        candidate = opened.candidate
        self.pace.heard(candidate.provider, candidate.model, opened.given, limits, self.clock())

    def in_pace_no_more(self, opened: Opened[Slot]) -> None:
        """The call is no longer on its way."""
        self.pace.end(opened.candidate.provider, opened.candidate.model, opened.given)

    def leave(self, candidate: Candidate, given: Pass) -> None:
        """The call was not made, or ends without telling anything."""
        self.health.release(candidate.provider, candidate.model)
        self.pace.end(candidate.provider, candidate.model, given)
