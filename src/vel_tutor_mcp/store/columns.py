"""The types of columns, the same on both databases, and the columns that many tables have."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey


class Utc(sa.TypeDecorator[datetime]):
    """A point in time, aware, in UTC, on databases with time zones and without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        # SQLite keeps texts, which sort as times do where all are of one zone and none names it.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


Id = sa.Uuid(as_uuid=False)
# Not JSONB, which would put the members of a caller's schema in another order.
Json = sa.JSON(none_as_null=True)
# A place in a trace, as W3C's Trace Context writes it.
TraceParent = sa.String(55)
# SQLite numbers rows by itself only for its own INTEGER type.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Compared byte by byte, whatever language the database is set to.
PlainText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


# What columns mean that many tables have: docs/reference/tables.md. A column's own `doc` goes before it.
MEANINGS = {
    "id": "its id",
    "organisation_id": "whose it is: the organisation's",
    "owner_id": "whose it is: the user's",
    "agent_id": "the agent that it was given to",
    "agent_name": "the agent's name then",
    "task_id": "the task that it is of",
    "run_id": "the run that it is of",
    "step_id": "the step, as its definition names it",
    "workflow_id": "the workflow that it is of",
    "attempt_set": "which attempt set of the task; the first is 1",
    "name": "what people call it",
    "status": "how it stands",
    "version": "its number; the first is 1",
    "prompt": "what was asked, whole",
    "task_type": "what kind of task it is",
    "provider": "the provider",
    "model": "the model, as the catalog names it",
    "output": "what came of it",
    "error_code": "why it failed: a code of docs/reference/errors.md",
    "error_message": "why it failed, in a sentence",
    "idempotency_key": "by which the same request is known again",
    "body_hash": "SHA-256 of the request that had the key: another request with it is refused",
    "tokens_in": "tokens of the prompt",
    "tokens_out": "tokens of the answer",
    "cost_nanousd": "what it cost",
    "max_cost_nanousd": "its hard limit, all attempts together",
    "sequence": "its number: later ones are greater",
    "kind": "what kind it is",
    "message": "in a sentence",
    "percent": "how far it was, 0 to 100",
    "executor": "the process that has the say over it",
    "at": "when it was",
    "created_at": "when it was made",
    "updated_at": "when it last changed",
    "started_at": "when it began",
    "ended_at": "when it ended",
    "expires_at": "until when it is good",
    "used_at": "when it was used",
    "period": "day or month; of a task or run its whole life",
    "tasks_per_hour": "own limit over HTTP; nothing: whoever is above says",
    "requests_per_minute": "own limit over HTTP; nothing: whoever is above says",
}


def row_id() -> Column[str]:
    return Column("id", Id, primary_key=True)


def owned() -> tuple[Column[Any], Column[Any]]:
    """Whose row it is."""
    return (
        Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
        Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    )


def moment(name: str, *, nullable: bool = False, doc: str | None = None) -> Column[datetime]:
    return Column(name, Utc, nullable=nullable, doc=doc)
