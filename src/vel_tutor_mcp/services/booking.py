"""The book of one run of a task: each call is reserved for before it is made and settled when it ends.

Each of its methods is one transaction. The answer itself is settled by `Answers`, together with the task's end.
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import AgentConfig, Attempt, Candidate, FailureKind, NanoUsd, News, Outcome, Task
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Timeouts
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.health import Breaker, Health
from vel_tutor_mcp.routing.ledger import Prices, usd
from vel_tutor_mcp.routing.policy import RouteRequest, output_limit, shortest_output
from vel_tutor_mcp.routing.retry import Wait
from vel_tutor_mcp.routing.router import Ended, NoPlace
from vel_tutor_mcp.schemas import matched
from vel_tutor_mcp.services import funds, record
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import admission, attempts, breakers, tasks
from vel_tutor_mcp.store.attempts import Ending
from vel_tutor_mcp.store.audit import canonical
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.standing import Standing, available

_PROGRESS_SECONDS = 0.25
_PATIENCE = 5
_CHARACTERS_PER_TOKEN = 4


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


@dataclass(slots=True)
class Call:
    """One open call: its attempt, what is set aside for it, and the text that has arrived."""

    attempt: Attempt
    row: ModelRow
    reserved: NanoUsd
    started: float
    heard: list[str] = field(default_factory=list)
    characters: int = 0
    first_token_ms: int | None = None
    told_at: float = 0.0

    def text(self) -> str | None:
        return "".join(self.heard) or None


class Booking:
    """See `routing.router.Book`. `current` is the call that is open now.

    `shortage` says which budget kept a call from being made, where one did.
    """

    def __init__(self, tools: Tools, subject: Subject, config: AgentConfig, request: RouteRequest) -> None:
        self.subject = subject
        self.current: Call | None = None
        self.shortage = ""
        self._tools = tools
        self._config = config
        self._request = request

    async def open(self, candidate: Candidate) -> tuple[Call, ChatRequest, Delta]:
        attempt_id = str(uuid4())
        return await persisted(lambda: self._open(candidate, attempt_id))

    @unbroken
    async def _open(self, candidate: Candidate, attempt_id: str) -> tuple[Call, ChatRequest, Delta]:
        row = self._tools.catalog.find(f"{candidate.provider}/{candidate.model}")
        self.subject.after.clear()  # of an earlier try, as in the methods below
        async with self._tools.database.write() as tx:
            task = await tasks.get(tx, self.subject.task.id)
            if task is None or task.cancel_requested or not tasks.has(task, self.subject.work, self._tools.executor):
                # Asked for after this run began, before it could be reached; or another process took the task over.
                raise asyncio.CancelledError
            at = record.now()
            standings = await funds.standings(tx, Payer.of(task), self._tools.settings, at)
            max_output = self._affordable(task, row, standings)
            reserved = self._tools.prices.worst_case(row, self._request.prompt_bytes, max_output) or NanoUsd(0)
            made = {attempt.id: attempt for attempt in await attempts.of_run(tx, self.subject.work)}
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
                await self._take_place(tx, task, candidate.provider)
                await attempts.open_attempt(tx, task, attempt, reserved)
                unpriced = self._tools.prices.cost(row, 0, 0) is None
                told = f"asking {candidate.name}" + (", whose price is unknown: it counts as $0" if unpriced else "")
                await record.note(tx, self.subject, "attempt", told, 15)
        self.subject.publish(self._tools.hub)
        call = self.current = Call(attempt, row, reserved, time.monotonic())
        return call, self._chat(candidate, row, max_output), lambda text: self._hear(call, text)

    def _affordable(self, task: Task, row: ModelRow, standings: list[Standing]) -> int:
        """How long the answer may be.

        Raises:
            MoneyHeld: it could be longer once other calls have ended. ProviderError: it could not be of any use.
        """
        left = available(standings)
        longest = self._longest(row, left)
        if longest < self._longest(row, available(standings, at_best=True)):
            raise funds.money_held(task, standings)
        if longest >= shortest_output(row, self._request):
            return longest
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
        if limits and not await admission.free_places(tx, provider, limits, at, beside=task.id):
            raise NoPlace(provider, limits)
        if task.waits_for is not None:
            await tasks.change(tx, task.id, at, waits_for=None)

    def accepted(self, completion: Completion) -> Completion:
        schema = self.subject.task.response_schema
        if schema is None:
            return completion
        return replace(completion, text=matched(completion.text, schema))

    async def fail(self, call: Call, ended: Ended) -> None:
        await persisted(lambda: self._fail(call, ended))

    @unbroken
    async def _fail(self, call: Call, ended: Ended) -> None:
        failure = ended.failure
        assert failure is not None
        self.subject.after.clear()
        async with self._tools.database.write() as tx:
            if not await self.is_ours(tx):
                # What broke a call while this process was frozen says nothing of the model.
                self._tools.health.restore(call.attempt.provider, call.attempt.model, Breaker())
                raise asyncio.CancelledError
            await self.settle(tx, call, Outcome.FAILED, ended)
            await record.note(tx, self.subject, "failed_attempt", str(failure), 20)
            await tasks.change(tx, self.subject.task.id, record.now(), recoveries=0)
        self.current = None
        self.subject.publish(self._tools.hub)

    async def wait(self, step: Wait) -> None:
        await persisted(lambda: self._note_wait(step))

    @unbroken
    async def _note_wait(self, step: Wait) -> None:
        message = f"waiting {step.seconds:.1f} s before asking {step.candidate.name} again"
        async with self._tools.database.write() as tx:
            if not await self.is_ours(tx):
                raise asyncio.CancelledError
            await record.note(tx, self.subject, "waiting", message, 20)
        self.subject.publish(self._tools.hub)

    async def is_ours(self, tx: Transaction) -> bool:
        """Whether this run is still ours to record: a process that took the task over has the only say."""
        return await tasks.is_held(tx, self.subject.work, self._tools.executor)

    async def settle(self, tx: Transaction, call: Call, outcome: Outcome, ended: Ended) -> None:
        """Store the call's end, its cost and what it did to the model's breaker; once."""
        ending = self._ending(call, ended, outcome)
        if not await _close(tx, self.subject, self._tools.settings, call.attempt, ending):
            return
        if ended.breaker is not None:
            provider, model = call.attempt.provider, call.attempt.model
            state = self._tools.health.snapshot(provider, model)
            await breakers.save(tx, provider, model, asdict(state), record.now())
            changed = {"provider": provider, "model": model}
            await record.audit_entry(tx, self.subject, f"breaker_{ended.breaker.value}", changed)

    async def close_open(self, tx: Transaction, outcome: Outcome, error: str | None = None) -> Call | None:
        """`close_open` for this run; returns the call that was under way in this process, if any."""
        await close_open(tx, self.subject, self._tools.settings, outcome, error, self.current)
        return self.current

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

    def _cost(self, call: Call, ended: Ended) -> NanoUsd:
        completion = ended.completion
        if completion and completion.tokens_in is not None and completion.tokens_out is not None:
            cost = self._tools.prices.cost(
                call.row,
                completion.tokens_in,
                completion.tokens_out,
                completion.tokens_cached or 0,
                tokens_written=completion.tokens_written or 0,
            )
            return NanoUsd(cost or 0)
        unheard = completion is None and ended.failure is not None and not ended.failure.billable
        return NanoUsd(0) if unheard else call.reserved

    def _longest(self, row: ModelRow, available: NanoUsd | None) -> int:
        return output_limit(row, replace(self._request, available=available), self._tools.prices)

    def _chat(self, candidate: Candidate, row: ModelRow, max_output_tokens: int) -> ChatRequest:
        return ChatRequest(
            model=row.model,
            system=self._config.system_prompt,
            prompt=composed(self.subject.task),
            max_output_tokens=max_output_tokens,
            timeouts=timeouts(self._tools.settings, self._config, row, candidate.expected_latency_ms),
            temperature=self._config.temperature if row.takes_temperature else None,
            response_schema=self.subject.task.response_schema,
        )

    def _hear(self, call: Call, text: str) -> None:
        call.heard.append(text)
        call.characters += len(text)
        now = time.monotonic()
        if call.first_token_ms is None:
            call.first_token_ms = round((now - call.started) * 1000)
            self._publish(News(25, f"first token from {call.row.name} after {call.first_token_ms} ms"))
        elif now - call.told_at >= _PROGRESS_SECONDS:
            call.told_at = now
            tokens = call.characters // _CHARACTERS_PER_TOKEN
            share = min(1.0, tokens / max(1, self._config.max_output_tokens))
            self._publish(News(25 + 70 * share, f"about {tokens} tokens so far", passing=True))

    def _publish(self, news: News) -> None:
        self._tools.hub.publish(self.subject.task.id, news)


async def close_open(
    tx: Transaction,
    subject: Subject,
    settings: Settings,
    outcome: Outcome,
    error: str | None = None,
    call: Call | None = None,
) -> None:
    """End every call of this run that is stored as open: its usage is unknown, so it costs what was set aside.

    `call` is the one that was under way in this process.
    """
    for attempt in await attempts.of_run(tx, subject.work):
        if attempt.outcome is not Outcome.OPEN:
            continue
        heard = call if call and call.attempt.id == attempt.id else None
        ending = Ending(
            outcome=outcome,
            cost_nanousd=await attempts.reserved(tx, attempt.id),
            error=error,
            total_ms=round((time.monotonic() - heard.started) * 1000) if heard else None,
            partial=heard.text() if heard else None,
            first_token_ms=heard.first_token_ms if heard else None,
        )
        await _close(tx, subject, settings, attempt, ending)


async def _close(tx: Transaction, subject: Subject, settings: Settings, attempt: Attempt, ending: Ending) -> bool:
    if not await attempts.close(tx, attempt.id, ending, record.now()):
        return False
    payload: dict[str, Any] = {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": ending.outcome.value,
        "failure": ending.failure.value if ending.failure else None,
        "tokens_in": ending.tokens_in,
        "tokens_out": ending.tokens_out,
        "cost_usd": usd(ending.cost_nanousd),
    }
    await record.audit_entry(tx, subject, "provider_called", payload)
    await funds.warn(tx, subject, settings, ending.cost_nanousd, attempt.started_at)
    return True


def composed(task: Task) -> str:
    """The task's prompt with its parameters under it, as JSON."""
    return f"{task.prompt}\n\nParameters (JSON):\n{canonical(task.parameters)}" if task.parameters else task.prompt


def timeouts(settings: Settings, config: AgentConfig, row: ModelRow, expected_ms: int) -> Timeouts:
    """The limits of one call that is expected to take `expected_ms` in all; none is longer than the whole may take.

    A model that reasons shows its first token late: it is given some times what the whole is expected to take.
    """
    first = settings.first_token_timeout_seconds
    if "reasoning" in row.capabilities:
        patience = max(first, _PATIENCE * expected_ms / 1000)
        first = min(patience, settings.reasoning_timeout_seconds)
    total = float(config.timeout_seconds)
    return Timeouts(
        connect=min(total, settings.connect_timeout_seconds),
        first_token=min(total, first),
        between_tokens=min(total, settings.between_tokens_timeout_seconds),
        total=total,
    )
