"""Try the candidates in order until one answers. What follows a failure is decided in `retry`; here it is carried out.

It writes nothing: every call is booked through the `Book` it is given.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from vel_tutor_mcp.errors import NoAnswer, OverBudget, ProviderError
from vel_tutor_mcp.models import Candidate, Decision, FailureKind, Limits
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Provider
from vel_tutor_mcp.routing.health import BreakerState, Health
from vel_tutor_mcp.routing.retry import Failure, GiveUp, Wait, failure_sentence, next_step

Slot = TypeVar("Slot")

_LONGEST_PAUSE_SECONDS = 16


class MustWait(Exception):
    """A call that cannot be opened for now. It is waited for outside of the router.

    Attributes:
        waits_for: what for, in a few words.
        told: the same for the task's history.
        pause: how long at least; None where what is waited for says when it is there.
    """

    waits_for: str
    told: str
    pause: timedelta | None = None


class NoPlace(MustWait):
    """The provider takes no more calls for now."""

    def __init__(self, provider: str, limits: Limits) -> None:
        super().__init__(f"no free place at {provider} ({limits})")
        self.waits_for = provider
        self.told = f"waiting for a free place at {provider} ({limits})"


class MoneyHeld(MustWait):
    """Other calls have set aside what this one needs of a budget that they share, and may give most of it back.

    Many may wait for the same money: who has waited often looks less often.
    """

    def __init__(self, whose: str, turn: int) -> None:
        super().__init__(f"the money of its {whose} is set aside")
        self.waits_for = f"the money of its {whose}"
        self.told = f"waiting until other calls of its {whose} give money back"
        self.pause = timedelta(seconds=min(_LONGEST_PAUSE_SECONDS, 1 << min(turn - 1, 10)))


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that did not answer; see `retry.Failure`."""

    provider: str
    model: str
    failure: FailureKind
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended: with a completion, or with a failure (or both: an answer that was not accepted)."""

    completion: Completion | None
    failure: ProviderError | None
    total_ms: int
    breaker: BreakerState | None
    """The breaker's new state, where this call changed it."""


class Book(Protocol[Slot]):
    """Where calls are reserved for and settled; `Slot` is its own record of one open call."""

    async def open(self, candidate: Candidate) -> "tuple[Slot, ChatRequest, Delta]":
        """Reserve for a call to the candidate, and say what to ask and who hears the answer arrive.

        Raises:
            ProviderError: of kind OVER_BUDGET, where the shortest useful call could cost more than is left.
            NoPlace: the candidate's provider is at its limit. It is waited for, outside of the router: no other
                candidate is asked instead, for fallback is for failures.
            MoneyHeld: likewise, until other calls on the same budget have ended.
        """
        ...

    def accepted(self, completion: Completion) -> Completion:
        """The answer as it is to be stored.

        Raises:
            ProviderError: of kind INVALID_OUTPUT, where it is not what was asked for.
        """
        ...

    async def fail(self, slot: Slot, ended: Ended) -> None:
        """Settle a call that failed."""
        ...

    async def wait(self, step: Wait) -> None:
        """Hear that nothing is tried for a while."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be tried: the decision, what failed already (in an earlier run), and how often to try again.

    `waited`: the pause that may be due after those failures is over.
    """

    decision: Decision
    failures: Sequence[Failure]
    max_retries: int
    fallback: bool
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Answered(Generic[Slot]):
    slot: Slot
    candidate: Candidate
    ended: Ended


class Router:
    """All providers, as one that does not fail while any of them answers."""

    def __init__(
        self, providers: Mapping[str, Provider], health: Health, jitter: Callable[[], float] = random.random
    ) -> None:
        self._providers = providers
        self._health = health
        self._jitter = jitter

    async def answer(self, order: Order, book: Book[Slot]) -> Answered[Slot]:
        """The first acceptable answer.

        Raises:
            NoAnswer: with one sentence of what was tried, why it failed and what to do.
            OverBudget: likewise, where money is all that stood in the way.
            NoPlace, MoneyHeld: see `Book.open`.
        """
        failures = list(order.failures)
        while True:
            candidate = await self._next(order, failures, book)
            result = await self._attempt(candidate, book)
            if isinstance(result, Answered):
                return result
            failures.append(Failed(candidate.provider, candidate.model, result.kind, result.retry_after))

    async def _next(self, order: Order, failures: Sequence[Failure], book: Book[Slot]) -> Candidate:
        step = next_step(
            order.decision.candidates,
            failures,
            max_retries=order.max_retries,
            fallback=order.fallback,
            jitter=self._jitter(),
        )
        if isinstance(step, GiveUp):
            sentence = f"{failure_sentence(failures).removesuffix('.')} ({step.reason})."
            poor = all(failure.failure is FailureKind.OVER_BUDGET for failure in failures)
            raise OverBudget(sentence) if poor else NoAnswer(sentence)
        if isinstance(step, Wait) and not (order.waited and len(failures) == len(order.failures)):
            await book.wait(step)
            await asyncio.sleep(step.seconds)
        return step.candidate

    async def _attempt(self, candidate: Candidate, book: Book[Slot]) -> "Answered[Slot] | ProviderError":
        now = time.time()
        if not self._health.start(candidate.provider, candidate.model, now):
            until = self._health.open_until(candidate.provider, candidate.model, now) or now
            return ProviderError("circuit open", kind=FailureKind.SERVER_ERROR, retry_after=until - now)
        try:
            slot, request, on_delta = await book.open(candidate)
            ended = await self._call(candidate, request, on_delta, book)
        except ProviderError as refusal:
            self._health.release(candidate.provider, candidate.model)
            return refusal
        except BaseException:
            self._health.release(candidate.provider, candidate.model)
            raise
        if ended.failure is None:
            return Answered(slot, candidate, ended)
        await book.fail(slot, ended)
        return ended.failure

    async def _call(self, candidate: Candidate, request: ChatRequest, on_delta: Delta, book: Book[Slot]) -> Ended:
        started = time.monotonic()
        completion, failure = None, None
        try:
            completion = await self._providers[candidate.provider].complete(request, on_delta)
            completion = book.accepted(completion)
        except ProviderError as problem:
            failure = problem
        total_ms = round((time.monotonic() - started) * 1000)
        breaker = self._health.record(
            candidate.provider,
            candidate.model,
            failure.kind if failure else None,
            time.time(),
            first_token_ms=completion.first_token_ms if completion else None,
            total_ms=total_ms,
            tokens_out=completion.tokens_out if completion else None,
        )
        return Ended(completion=completion, failure=failure, total_ms=total_ms, breaker=breaker)
