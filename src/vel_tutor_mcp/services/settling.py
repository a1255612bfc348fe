"""How a call ends in the book: its outcome and cost, which free what was set aside for it, once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vel_tutor_mcp.models import Attempt, NanoUsd, Outcome
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services import funds, record, traced
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import attempts
from vel_tutor_mcp.store.attempts import Ending
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.tracing import spans


@dataclass(slots=True)
class Call:
    """One open call: its attempt, what is set aside for it, and the text that has arrived.

    Attributes:
        started: when it was sent, by the monotonic clock; `sent_at` is the same moment by the calendar.
    """

    attempt: Attempt
    row: ModelRow
    reserved: NanoUsd
    started: float
    sent_at: datetime
    heard: list[str] = field(default_factory=list)
    characters: int = 0
    first_token_ms: int | None = None
    told_at: float = 0.0

    def text(self) -> str | None:
        return "".join(self.heard) or None


async def close_open(
    tx: Transaction,
    subject: Subject,
    settings: Settings,
    outcome: Outcome,
    error: str | None = None,
    calls: Mapping[str, Call] | None = None,
) -> None:
    """End every call of this run that is stored as open: its usage is unknown, so it costs what was set aside.

    `calls` are those that were under way in this process, by the ids of their attempts.
    """
    for attempt in await attempts.of_run(tx, subject.work):
        if attempt.outcome is not Outcome.OPEN:
            continue
        heard = calls.get(attempt.id) if calls else None
        ending = Ending(
            outcome=outcome,
            cost_nanousd=await attempts.reserved(tx, attempt.id),
            error=error,
            total_ms=round((time.monotonic() - heard.started) * 1000) if heard else None,
            partial=heard.text() if heard else None,
            first_token_ms=heard.first_token_ms if heard else None,
        )
        await close(tx, subject, settings, attempt, ending, heard)


async def close(
    tx: Transaction, subject: Subject, settings: Settings, attempt: Attempt, ending: Ending, call: Call | None
) -> bool:
    """Store how the attempt ended, if that is not stored yet; `call` is None where another process made it."""
    at = record.now()
    if not await attempts.close(tx, attempt.id, ending, at):
        return False
    if spans.on():
        subject.after.spans.append(traced.attempt(attempt, ending, call.sent_at if call else attempt.started_at, at))
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
