"""Try the candidates in order until one answers. What follows a failure is decided in `retry`; here it is carried out.

It writes nothing: every call is booked through the `Book` it is given.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace

from vel_tutor_mcp.errors import NoAnswer, OverBudget, ProviderError
from vel_tutor_mcp.models import Candidate, FailureKind
from vel_tutor_mcp.providers.base import Completion, Provider
from vel_tutor_mcp.routing.book import Answered, Book, Ended, Failed, Lost, MustWait, Order, Slot
from vel_tutor_mcp.routing.caller import SHORT_PAUSE_SECONDS, Caller, Opened, elapsed
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.hedge import Hedging, Race, second
from vel_tutor_mcp.routing.lines import Line
from vel_tutor_mcp.routing.pace import Pace
from vel_tutor_mcp.routing.retry import (
    LONGEST_WAIT_SECONDS,
    Failure,
    GiveUp,
    Repair,
    Try,
    Wait,
    failure_sentence,
    next_step,
)
from vel_tutor_mcp.routing.warmth import Warmth


class Router:
    """All providers, as one that does not fail while any of them answers.

    `clock` gives epoch seconds; without `hedging` no call is made beside another.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        health: Health,
        jitter: Callable[[], float] = random.random,  # noqa: S311 - no secret is made of it
        clock: Callable[[], float] = time.time,
        *,
        pace: Pace | None = None,
        warmth: Warmth | None = None,
        hedging: Hedging | None = None,
    ) -> None:
        self._jitter = jitter
        self._hedging = hedging
        self._caller = Caller(
            providers=providers,
            health=health,
            pace=pace or Pace(),
            warmth=warmth or Warmth(),
            hedging=hedging,
            clock=clock,
        )

    def on(self, lines: Mapping[str, Line]) -> "Router":
        """The same, which calls these providers on an owner's lines."""
        if not lines:
            return self
        router = copy(self)
        router._caller = replace(self._caller, lines=lines)  # noqa: SLF001 - of the same class
        return router

    def forget(self, line: str) -> None:
        """The owner's line is closed: remember nothing of its calls."""
        self._caller.health.forget(line)
        self._caller.pace.forget(line)
        if self._hedging is not None:
            self._hedging.forget(line)

    async def answer(self, order: Order, book: Book[Slot]) -> Answered[Slot]:
        """The first acceptable answer.

        Raises:
            NoAnswer: with one sentence of what was tried, why it failed and what to do.
            OverBudget: likewise, where money is all that stood in the way.
            NoPlace, MoneyHeld: see `Book.open`.
            Paced: the rate limit of whom to ask next takes no call for a while.
        """
        failures = list(order.failures)
        while True:
            step = await self._next(order, failures, book)
            result = await self._attempt(step, order, failures, book)
            if isinstance(result, Answered):
                return result
            failures += result

    async def _next(self, order: Order, failures: Sequence[Failure], book: Book[Slot]) -> Try | Repair | Wait:
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
        return step

    async def _attempt(
        self, step: Try | Repair | Wait, order: Order, failures: Sequence[Failure], book: Book[Slot]
    ) -> Answered[Slot] | list[Failed]:
        repairs = step.failure if isinstance(step, Repair) else None
        # Nobody waits long for a rate limit where another can be asked.
        wait = SHORT_PAUSE_SECONDS if self._has_another(step.candidate, order, failures, book) else LONGEST_WAIT_SECONDS
        first = await self._caller.open(step.candidate, book, repairs=repairs, longest_wait=wait)
        if isinstance(first, ProviderError):
            return [Failed.of(step.candidate, first)]
        if self._hedging is not None:
            hedges = order.fallback and repairs is None
            return await self._raced(first, order.decision.candidates if hedges else (), failures, self._hedging, book)
        ended = await self._caller.call(first, first.on_delta, book)
        return await self._settled(first, ended, book)

    def _has_another(self, candidate: Candidate, order: Order, failures: Sequence[Failure], book: Book[Slot]) -> bool:
        """Whether one of the other candidates, not asked yet, could be asked now."""
        asked = {(failure.provider, failure.model) for failure in failures if failure.failure is not None}
        others = [
            other
            for other in order.decision.candidates
            if order.fallback and other != candidate and (other.provider, other.model) not in asked
        ]
        return any(self._caller.is_free(other, book.tokens) for other in others)

    async def _settled(self, opened: Opened[Slot], ended: Ended, book: Book[Slot]) -> Answered[Slot] | list[Failed]:
        if ended.failure is None:
            return Answered(opened.slot, opened.candidate, ended)
        await book.fail(opened.slot, ended)
        return [Failed.of(opened.candidate, ended.failure)]

    async def _raced(
        self,
        first: Opened[Slot],
        others: Sequence[Candidate],
        failures: Sequence[Failure],
        hedging: Hedging,
        book: Book[Slot],
    ) -> Answered[Slot] | list[Failed]:
        """The first call's answer, or that of a second one which began to answer before it."""
        failed: list[Failed] = []
        hedging.count()
        async with Race[Opened[Slot], Ended]() as race:
            self._run(first, race, book)
            await race.news(hedging.patience(first.line))
            hedge = await self._hedge(first, second(others, failures, first.candidate), race, book)
            if hedge is not None:
                self._run(hedge, race, book)
            while race.runs:
                await race.news()
                result = await self._finished(race, book)
                if isinstance(result, Answered):
                    return result
                failed += result
        return failed

    def _run(self, opened: Opened[Slot], race: Race[Opened[Slot], Ended], book: Book[Slot]) -> None:
        call = race.run(opened, lambda on_delta: self._caller.call(opened, on_delta, book), opened.on_delta)
        # Also where it is cut before it begins.
        call.add_done_callback(lambda _: self._caller.in_pace_no_more(opened))

    async def _hedge(
        self,
        first: Opened[Slot],
        candidate: Candidate | None,
        race: Race[Opened[Slot], Ended],
        book: Book[Slot],
    ) -> Opened[Slot] | None:
        """A second call, where the first one is late; what stands against it is no failure of the task's."""
        assert self._hedging is not None
        # `take` comes last, for what is taken counts.
        if candidate is None or not race.is_open or not self._hedging.take():
            return None
        try:
            opened = await self._caller.open(candidate, book, beside=first.candidate)
        except MustWait:
            return None
        if isinstance(opened, ProviderError):
            return None
        if race.winner is None:
            return opened
        # The first call began to answer while this one was being booked.
        self._caller.leave(opened.line, opened.given)
        await book.lose(opened.slot, Lost(winner=race.winner.candidate, total_ms=0, sent=False))
        return None

    async def _finished(self, race: Race[Opened[Slot], Ended], book: Book[Slot]) -> Answered[Slot] | list[Failed]:
        """What has come of the calls that ended; those that have lost are stopped and booked."""
        failed: list[Failed] = []
        answered: Answered[Slot] | None = None
        for opened, ended in race.ended():
            # Answers in one piece come without a word before: of two such the first to end has won.
            if ended.failure is None and not race.wins(opened):
                await self._lose(opened, race, book, ended.completion)
                continue
            result = await self._settled(opened, ended, book)
            if isinstance(result, Answered):
                answered = result
            else:
                failed += result
        for loser in await race.losers():
            await self._lose(loser, race, book)
        return answered or failed

    async def _lose(
        self,
        opened: Opened[Slot],
        race: Race[Opened[Slot], Ended],
        book: Book[Slot],
        completion: Completion | None = None,
    ) -> None:
        assert race.winner is not None
        assert self._hedging is not None
        seconds = elapsed() - opened.begun
        self._hedging.heard(opened.line, seconds)
        lost = Lost(winner=race.winner.candidate, total_ms=round(seconds * 1000), sent=True, completion=completion)
        await book.lose(opened.slot, lost)
