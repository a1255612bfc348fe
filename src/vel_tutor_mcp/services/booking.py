"""The book of one run of a task: each call is reserved for before it is made and settled when it ends.

Each of its methods is one transaction. The answer itself is settled by `Answers`, together with the task's end.
"""

import asyncio
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

from vel_tutor_mcp.bearings import take_up
from vel_tutor_mcp.errors import InputError, ProviderError
from vel_tutor_mcp.models import AgentConfig, Attempt, Candidate, FailureKind, NanoUsd, Outcome, Task
from vel_tutor_mcp.news import News
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta
from vel_tutor_mcp.routing.book import Ended, Lost, NoPlace
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.health import Breaker, Health
from vel_tutor_mcp.routing.ledger import Prices, estimated_tokens, prompt_bytes, usd
from vel_tutor_mcp.routing.policy import RouteRequest, output_limit, shortest_output
from vel_tutor_mcp.routing.retry import Failure, Wait
from vel_tutor_mcp.schemas import matched
from vel_tutor_mcp.services import funds, integrations, learning, record
from vel_tutor_mcp.services.asking import chat_request, correction
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.settling import Call, close, close_open
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import admission, attempts, breakers, tasks
from vel_tutor_mcp.store.attempts import Ending
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.evidence import Arm
from vel_tutor_mcp.store.isolation import everywhere
from vel_tutor_mcp.store.standing import Standing, available

_PROGRESS_SECONDS = 0.25
_CHARACTERS_PER_TOKEN = 4
_UNPRICED = ", whose price is unknown: it counts as $0"


@dataclass(frozen=True, slots=True)
class Tools:
    """What every book needs, made once."""

    database: Database
    hub: Hub
    catalog: Catalog
    prices: Prices
    health: Health
    settings: Settings
    executor: str


class _Terms(NamedTuple):
    """How long the answer of a call may be, and what is set aside for it."""

    max_output: int
    reserved: NanoUsd


class Booking:
    """See `routing.book.Book`. `shortage` says which budget kept a call from being made, where one did."""

    def __init__(self, tools: Tools, subject: Subject, config: AgentConfig, request: RouteRequest) -> None:
        self.subject = subject
        self.shortage = ""
        self._calls: dict[str, Call] = {}
        self._terms: dict[str, _Terms] = {}
        self._tools = tools
        self._config = config
        self._request = request

    @property
    def tokens(self) -> int:
        return estimated_tokens(self._request.prompt_bytes) + self._config.max_output_tokens

    async def open(
        self, candidate: Candidate, *, repairs: Failure | None = None, beside: Candidate | None = None
    ) -> tuple[Call, ChatRequest, Delta]:
        attempt_id = str(uuid4())
        take_up(run=self.subject.task.run_id, attempt=attempt_id)
        call, max_output = await persisted(lambda: self._open(candidate, attempt_id, repairs, beside))
        task, settings = self.subject.task, self._tools.settings
        request = chat_request(task, self._config, settings, call.row, candidate, max_output, repairs)
        return call, request, lambda text: self._hear(call, text)

    @unbroken
    async def _open(
        self, candidate: Candidate, attempt_id: str, repairs: Failure | None, beside: Candidate | None
    ) -> tuple[Call, int]:
        row = self._row(candidate)
        self.subject.after.clear()  # of an earlier try, as in the methods below
        async with self._tools.database.write(self.subject.task.organisation_id) as tx:
            task = await tasks.get(tx, self.subject.task.id)
            if task is None or task.cancel_requested or not tasks.has(task, self.subject.work, self._tools.executor):
                # Asked for after this run began, before it could be reached; or another process took the task over.
                raise asyncio.CancelledError
            at = record.now()
            made = {attempt.id: attempt for attempt in await attempts.of_run(tx, self.subject.work)}
            # It is there already where an earlier try was committed and only its answer got lost: see `persisted`.
            attempt = made.get(attempt_id) or Attempt(
                id=attempt_id,
                task_id=task.id,
                attempt_set=task.attempt_set,
                number=len(made) + 1,
                provider=candidate.provider,
                model=candidate.model,
                outcome=Outcome.OPEN,
                started_at=at,
            )
            if attempt_id not in made:
                # What is there already keeps its terms: asked again, its own money would count as taken by another.
                self._terms[attempt_id] = await self._terms_of(tx, task, row, self._asked(repairs), at)
                await self._take_place(tx, task, candidate.provider)
                await attempts.open_attempt(tx, task, attempt, self._terms[attempt_id].reserved)
                unpriced = self._tools.prices.cost(row, 0, 0) is None
                told = _asking(candidate, repairs, beside) + (_UNPRICED if unpriced else "")
                await record.note(tx, self.subject, "attempt", told, 15)
        self.subject.publish(self._tools.hub)
        terms = self._terms[attempt_id]
        call = self._calls[attempt_id] = Call(attempt, row, terms.reserved, time.monotonic(), record.now())
        return call, terms.max_output

    def _row(self, candidate: Candidate) -> ModelRow:
        """Of a decision that was made before a restart: a model on this machine may not be there since."""
        try:
            return self._tools.catalog.find(candidate.name)
        except InputError as unknown:
            raise ProviderError(str(unknown), kind=FailureKind.NOT_FOUND) from unknown

    def _asked(self, repairs: Failure | None) -> RouteRequest:
        """What is asked; a correction makes it longer."""
        if repairs is None:
            return self._request
        return replace(self._request, prompt_bytes=self._request.prompt_bytes + prompt_bytes(correction(repairs)))

    async def _terms_of(self, tx: Transaction, task: Task, row: ModelRow, asked: RouteRequest, at: datetime) -> _Terms:
        """Raises: as `_affordable`."""
        standings = await funds.standings(tx, Payer.of(task), self._tools.settings, at)
        max_output = self._affordable(task, row, asked, standings)
        reserved = self._tools.prices.worst_case(row, asked.prompt_bytes, max_output)
        return _Terms(max_output, reserved or NanoUsd(0))

    def _affordable(self, task: Task, row: ModelRow, asked: RouteRequest, standings: list[Standing]) -> int:
        """How long the answer may be.

        Raises:
            MoneyHeld: it could be longer once other calls have ended. ProviderError: it could not be of any use.
        """
        left, shortest = available(standings), shortest_output(row, asked)
        longest = self._longest(row, asked, left)
        # First, for what others have set aside may come back: a shorter answer, or none, would be given too soon.
        if longest < self._longest(row, asked, available(standings, at_best=True)):
            raise funds.money_held(task, standings)
        if longest >= shortest:
            return longest
        if self._longest(row, asked, None) < shortest:
            raise ProviderError(f"{row.name} has no room to correct its answer", kind=FailureKind.INVALID_OUTPUT)
        self.shortage = funds.shortage(standings)
        raise ProviderError(
            f"{row.name} could cost more than the ${usd(left or NanoUsd(0)):.6f} that is left",
            kind=FailureKind.OVER_BUDGET,
        )

    async def _take_place(self, tx: Transaction, task: Task, provider: str) -> None:
        """Let go of the place that was promised to the task, for one at this provider, which may be the same.

        Raises:
            NoPlace: there is none.
        """
        limits, at = self._tools.catalog.limits.get(provider), record.now()
        if limits is not None:
            async with everywhere(tx):  # others' calls take places too
                free = await admission.free_places(tx, provider, limits, at, beside=task.id)
            if not free:
                raise NoPlace(provider, limits)
        if task.waits_for is not None:
            await tasks.change(tx, task.id, at, waits_for=None)

    def accepted(self, completion: Completion) -> Completion:
        schema = self.subject.task.response_schema
        if schema is None:
            return completion
        return replace(completion, text=matched(completion.text, schema))

    async def fail(self, call: Call, ended: Ended) -> None:
        take_up(attempt=call.attempt.id)
        await persisted(lambda: self._fail(call, ended))

    @unbroken
    async def _fail(self, call: Call, ended: Ended) -> None:
        failure = ended.failure
        assert failure is not None
        self.subject.after.clear()
        async with self._tools.database.write(self.subject.task.organisation_id) as tx:
            if not await self.is_ours(tx):
                # What broke a call while this process was frozen says nothing of the model.
                self._tools.health.restore(self._line(call) or call.attempt.provider, call.attempt.model, Breaker())
                raise asyncio.CancelledError
            if await self.settle(tx, call, Outcome.FAILED, ended):
                await record.note(tx, self.subject, "failed_attempt", _failed(failure, call), 20)
            await self._doubt_key(tx, call, failure)
            await tasks.change(tx, self.subject.task.id, record.now(), recoveries=0)
        self._calls.pop(call.attempt.id, None)
        self.subject.publish(self._tools.hub)

    async def lose(self, call: Call, lost: Lost) -> None:
        take_up(attempt=call.attempt.id)
        await persisted(lambda: self._lose(call, lost))

    @unbroken
    async def _lose(self, call: Call, lost: Lost) -> None:
        self.subject.after.clear()
        async with self._tools.database.write(self.subject.task.organisation_id) as tx:
            if not await self.is_ours(tx):
                raise asyncio.CancelledError
            if await close(tx, self.subject, self._tools.settings, call.attempt, self._lost(call, lost), call):
                message = f"{lost.winner.name} began to answer first; {call.row.name} is stopped"
                await record.note(tx, self.subject, "lost_race", message, 25)
        self._calls.pop(call.attempt.id, None)
        self.subject.publish(self._tools.hub)

    async def wait(self, step: Wait) -> None:
        await persisted(lambda: self._note_wait(step))

    @unbroken
    async def _note_wait(self, step: Wait) -> None:
        name = step.candidate.name
        reason = f"for the rate limit of {name}" if step.limited else f"before asking {name} again"
        message = f"waiting {step.seconds:.1f} s {reason}"
        async with self._tools.database.write(self.subject.task.organisation_id) as tx:
            if not await self.is_ours(tx):
                raise asyncio.CancelledError
            await record.note(tx, self.subject, "waiting", message, 20)
        self.subject.publish(self._tools.hub)

    async def is_ours(self, tx: Transaction) -> bool:
        """Whether this run is still ours to record: a process that took the task over has the only say."""
        return await tasks.is_held(tx, self.subject.work, self._tools.executor)

    async def settle(self, tx: Transaction, call: Call, outcome: Outcome, ended: Ended) -> bool:
        """Store the call's end, its cost, what it says of the answer and what it did to the model's breaker.

        False where that is stored already.
        """
        ending = self._ending(call, ended, outcome)
        if not await close(tx, self.subject, self._tools.settings, call.attempt, ending, call):
            return False
        await self._learn(tx, call, ended)
        if ended.breaker is not None:
            provider, model = call.attempt.provider, call.attempt.model
            changed: dict[str, Any] = {"provider": provider, "model": model}
            if self._line(call):
                # Not stored: a stored breaker speaks of the model to everybody, and here the key alone may be at fault.
                changed["own_key"] = True
            else:
                state = self._tools.health.snapshot(provider, model)
                await breakers.save(tx, provider, model, asdict(state), record.now())
            await record.audit_entry(tx, self.subject, f"breaker_{ended.breaker.value}", changed)
        return True

    def _line(self, call: Call) -> str | None:
        """The owner's own line that the call is on."""
        return self._request.lines.get(call.attempt.provider)

    async def _doubt_key(self, tx: Transaction, call: Call, failure: ProviderError) -> None:
        line = self._line(call)
        if line and failure.kind is FailureKind.AUTHENTICATION and failure.status is not None:
            await integrations.refuse(tx, self.subject.owner, call.attempt.provider, line, failure.status)

    async def _learn(self, tx: Transaction, call: Call, ended: Ended) -> None:
        task, failure = self.subject.task, ended.failure
        cause = learning.cause_of_ending(failure.kind if failure else None, has_schema=task.response_schema is not None)
        if cause is not None:
            task_type = self._request.features.task_type
            arm = Arm(task.organisation_id, task_type, call.attempt.provider, call.attempt.model)
            await learning.learn(tx, arm, cause, record.now())

    async def close_open(self, tx: Transaction, outcome: Outcome, error: str | None = None) -> Call | None:
        """`close_open` for this run; returns the call that was answering in this process, or was to, if any."""
        await close_open(tx, self.subject, self._tools.settings, outcome, error, self._calls)
        return max(self._calls.values(), key=lambda call: call.characters, default=None)

    def _ending(self, call: Call, ended: Ended, outcome: Outcome) -> Ending:
        completion, failure = ended.completion, ended.failure
        return Ending(
            outcome=outcome,
            cost_nanousd=self._cost(call, ended),
            total_ms=ended.total_ms,
            failure=failure.kind if failure else None,
            error=str(failure) if failure else None,
            retry_after=failure.retry_after if failure else None,
            partial=(failure.partial or call.text()) if failure else None,
            served_model=completion.served_model if completion else None,
            tokens_in=completion.tokens_in if completion else None,
            tokens_out=completion.tokens_out if completion else None,
            first_token_ms=call.first_token_ms,
        )

    def _lost(self, call: Call, lost: Lost) -> Ending:
        completion = lost.completion
        return Ending(
            outcome=Outcome.CANCELLED,
            cost_nanousd=self._used(call, completion) if lost.sent else NanoUsd(0),
            total_ms=lost.total_ms,
            error=f"lost the race: {lost.winner.name} began to answer first",
            served_model=completion.served_model if completion else None,
            tokens_in=completion.tokens_in if completion else None,
            tokens_out=completion.tokens_out if completion else None,
        )

    def _cost(self, call: Call, ended: Ended) -> NanoUsd:
        unheard = ended.completion is None and ended.failure is not None and not ended.failure.billable
        return NanoUsd(0) if unheard else self._used(call, ended.completion)

    def _used(self, call: Call, completion: Completion | None) -> NanoUsd:
        """What the call cost by its usage, or all that was set aside where that is not known."""
        if completion and completion.tokens_in is not None and completion.tokens_out is not None:
            cost = self._tools.prices.cost(
                call.row,
                completion.tokens_in,
                completion.tokens_out,
                completion.tokens_cached or 0,
                tokens_written=completion.tokens_written or 0,
            )
            return NanoUsd(cost or 0)
        return call.reserved

    def _longest(self, row: ModelRow, asked: RouteRequest, available: NanoUsd | None) -> int:
        return output_limit(row, replace(asked, available=available), self._tools.prices)

    def _hear(self, call: Call, text: str) -> None:
        hub, task_id = self._tools.hub, self.subject.task.id
        hub.write(task_id, call.attempt.id, call.characters, text)
        call.heard.append(text)
        call.characters += len(text)
        now = time.monotonic()
        if call.first_token_ms is None:
            call.first_token_ms = round((now - call.started) * 1000)
            hub.publish(task_id, News(25, f"first token from {call.row.name} after {call.first_token_ms} ms"))
        elif now - call.told_at >= _PROGRESS_SECONDS:
            call.told_at = now
            tokens = call.characters // _CHARACTERS_PER_TOKEN
            share = min(1.0, tokens / max(1, self._config.max_output_tokens))
            hub.publish(task_id, News(25 + 70 * share, f"about {tokens} tokens so far", passing=True))


def _asking(candidate: Candidate, repairs: Failure | None, beside: Candidate | None) -> str:
    if repairs is not None:
        return f"asking {candidate.name} to correct its answer"
    return f"asking {candidate.name}" + (f" too, for {beside.name} is late" if beside else "")


def _failed(failure: ProviderError, call: Call) -> str:
    if not call.heard or failure.kind is FailureKind.INVALID_OUTPUT:
        return str(failure)
    return f"{failure} What had arrived stays in the attempt; whoever is asked next begins anew."
