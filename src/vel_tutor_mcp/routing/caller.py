"""One call: in the pace that its provider allows, booked, made, and learned from."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import Candidate, FailureKind
from vel_tutor_mcp.providers.base import Announced, ChatRequest, Completion, Delta, Provider
from vel_tutor_mcp.routing.book import Book, Ended, Paced, Slot
from vel_tutor_mcp.routing.health import BreakerState, Health
from vel_tutor_mcp.routing.hedge import Hedging
from vel_tutor_mcp.routing.lines import Line
from vel_tutor_mcp.routing.pace import Pace, Pass
from vel_tutor_mcp.routing.retry import LONGEST_WAIT_SECONDS, Failure, Wait
from vel_tutor_mcp.routing.warmth import Warmth

# For a rate limit: so long in the place that the task has; longer ones are waited for without it.
SHORT_PAUSE_SECONDS = 2.0
_WORTH_TELLING_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class Opened(Generic[Slot]):
    """A call that is booked and may be made. `line` is the candidate by the name of its line."""

    candidate: Candidate
    line: Candidate
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
    """What calls are made with, and what is remembered of them. `clock` gives epoch seconds.

    An owner's `lines`, by their providers, are used in the place of the installation's.
    """

    providers: Mapping[str, Provider]
    lines: Mapping[str, Line] = field(default_factory=dict)
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
        line = self._on_line(candidate)
        if (obstacle := self._obstacle(candidate, line)) is not None:
            return obstacle
        # A hedge that had to wait would be no hedge.
        given = await self._in_pace(candidate, book, 0.0 if beside else SHORT_PAUSE_SECONDS, longest_wait)
        if isinstance(given, ProviderError):
            return given
        # It may have opened during the pause.
        if (circuit := self._circuit(line)) is not None:
            self.pace.end(line.provider, line.model, given)
            return circuit
        # Nothing was awaited since the look at the circuit: the probe is still to be had.
        self.health.start(line.provider, line.model, self.clock())
        try:
            slot, request, on_delta = await book.open(candidate, repairs=repairs, beside=beside)
        # A cancellation too: a probe that nobody gives back blocks the next one for two minutes.
        except BaseException as obstacle:
            self.leave(line, given)
            if isinstance(obstacle, ProviderError):
                return obstacle
            raise
        return Opened(candidate, line, slot, request, on_delta, given, elapsed())

    def _on_line(self, candidate: Candidate) -> Candidate:
        own = self.lines.get(candidate.provider)
        return candidate if own is None else candidate._replace(provider=own.name)

    def _provider(self, candidate: Candidate) -> Provider:
        own = self.lines.get(candidate.provider)
        return self.providers[candidate.provider] if own is None else own.provider

    def _obstacle(self, candidate: Candidate, line: Candidate) -> ProviderError | None:
        if candidate.provider not in self.lines and candidate.provider not in self.providers:
            # The decision is of another process, or from before a key was deleted.
            sentence = f"{candidate.name} was not called; there is no key of {candidate.provider} here; set it."
            return ProviderError(sentence, kind=FailureKind.NO_KEY)
        return self._circuit(line)

    def _circuit(self, line: Candidate) -> ProviderError | None:
        now = self.clock()
        until = self.health.open_until(line.provider, line.model, now)
        if until is None:
            return None
        return ProviderError("circuit open", kind=FailureKind.SERVER_ERROR, retry_after=until - now)

    def is_free(self, candidate: Candidate, tokens: int) -> bool:
        """Whether a call that counts so many tokens could be made at once, or after a short pause."""
        line, now = self._on_line(candidate), self.clock()
        delay = self.pace.delay(line.provider, line.model, tokens, now)
        return delay <= SHORT_PAUSE_SECONDS and self.health.allows(line.provider, line.model, now)

    async def _in_pace(
        self, candidate: Candidate, book: Book[Slot], patience: float, longest_wait: float
    ) -> Pass | ProviderError:
        """Leave to call without passing a rate limit: at once, or after a short pause.

        Raises:
            Paced: it takes longer than the patience.
        """
        told, line = False, self._on_line(candidate)
        while True:
            given = self.pace.begin(line.provider, line.model, book.tokens, self.clock())
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
        completion, failure = None, None
        try:
            completion = await self._provider(opened.candidate).complete(
                opened.request, on_delta, lambda limits: self._hear_limits(opened, limits)
            )
            completion = book.accepted(completion)
        except ProviderError as problem:
            failure = problem
        except BaseException:
            self.leave(opened.line, opened.given)
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
        candidate, now = opened.line, self.clock()
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
        self.pace.heard(opened.line.provider, opened.line.model, opened.given, limits, self.clock())

    def in_pace_no_more(self, opened: Opened[Slot]) -> None:
        """The call is no longer on its way."""
        self.pace.end(opened.line.provider, opened.line.model, opened.given)

    def leave(self, line: Candidate, given: Pass) -> None:
        """The call was not made, or ends without telling anything."""
        self.health.release(line.provider, line.model)
        self.pace.end(line.provider, line.model, given)
