"""The tables. Every row of the domain carries its owner and organisation, so that isolating tenants is cheap.

`migrations/` is what makes them; a test proves that both say the same.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column as C
from sqlalchemy import ForeignKey, Index, Table, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(sa.TypeDecorator[datetime]):
    """A point in time, aware, in UTC, on databases with time zones and without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


Id = sa.Uuid(as_uuid=False)
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite numbers rows by itself only for its own INTEGER type.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id() -> C[str]:
    return C("id", Id, primary_key=True)


def _owned() -> tuple[C[Any], C[Any]]:
    return (
        C("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
        C("owner_id", Id, ForeignKey("users.id"), nullable=False),
    )


def _moment(name: str, *, nullable: bool = False) -> C[datetime]:
    return C(name, Utc, nullable=nullable)


organisations = Table(
    "organisations",
    metadata,
    _id(),
    C("name", sa.String(100), nullable=False, unique=True),
    _moment("created_at"),
)

users = Table(
    "users",
    metadata,
    _id(),
    C("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    C("name", sa.String(160), nullable=False),
    C("role", sa.String(20), nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    UniqueConstraint("organisation_id", "name"),
)

agents = Table(
    "agents",
    metadata,
    _id(),
    *_owned(),
    C("name", sa.String(100), nullable=False),
    C("type", sa.String(30), nullable=False),
    C("status", sa.String(20), nullable=False),
    C("version", sa.Integer, nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("deleted_at", nullable=True),
    Index(
        "uq_agents_owner_id_name",
        "owner_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index(None, "organisation_id", "created_at"),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    C("agent_id", Id, ForeignKey("agents.id"), primary_key=True),
    C("version", sa.Integer, primary_key=True),
    *_owned(),
    C("config", Json, nullable=False),
    _moment("created_at"),
)

tasks = Table(
    "tasks",
    metadata,
    _id(),
    *_owned(),
    C("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    C("agent_name", sa.String(100), nullable=False),
    C("agent_version", sa.Integer, nullable=False),
    C("status", sa.String(20), nullable=False),
    C("prompt", sa.Text, nullable=False),
    C("task_type", sa.String(30)),
    C("priority", sa.SmallInteger, nullable=False),
    C("parameters", Json, nullable=False),
    C("response_schema", Json),
    C("max_cost_nanousd", sa.BigInteger),
    C("attempt_set", sa.Integer, nullable=False),
    C("recoveries", sa.Integer, nullable=False),
    C("cancel_requested", sa.Boolean, nullable=False),
    C("executor", sa.String(120)),
    C("running", sa.Boolean, nullable=False),
    C("output", sa.Text),
    C("partial", sa.Boolean, nullable=False),
    C("provider", sa.String(60)),
    C("model", sa.String(160)),
    C("error_code", sa.String(40)),
    C("error_message", sa.Text),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("started_at", nullable=True),
    _moment("ended_at", nullable=True),
    Index(None, "owner_id", "created_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "agent_id", "status"),
    Index(None, "status", "owner_id", "priority", "created_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    C("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    C("key", sa.String(200), primary_key=True),
    C("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    C("body_hash", sa.String(64), nullable=False),
    C("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    _moment("created_at"),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    *_owned(),
    C("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    C("attempt_set", sa.Integer, nullable=False),
    C("number", sa.Integer, nullable=False),
    C("provider", sa.String(60), nullable=False),
    C("model", sa.String(160), nullable=False),
    C("served_model", sa.String(160)),
    C("outcome", sa.String(20), nullable=False),
    C("failure", sa.String(20)),
    C("error", sa.Text),
    C("retry_after", sa.Float),
    C("partial", sa.Text),
    C("tokens_in", sa.Integer),
    C("tokens_out", sa.Integer),
    C("cost_nanousd", sa.BigInteger),
    C("first_token_ms", sa.Integer),
    C("total_ms", sa.Integer),
    _moment("started_at"),
    _moment("ended_at", nullable=True),
    UniqueConstraint("task_id", "attempt_set", "number"),
    Index(None, "organisation_id", "started_at"),
)

task_events = Table(
    "task_events",
    metadata,
    C("sequence", Sequence, primary_key=True, autoincrement=True),
    *_owned(),
    C("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    C("kind", sa.String(30), nullable=False),
    C("message", sa.Text, nullable=False),
    C("percent", sa.SmallInteger, nullable=False),
    _moment("at"),
    Index(None, "task_id", "sequence"),
)

route_decisions = Table(
    "route_decisions",
    metadata,
    C("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    C("attempt_set", sa.Integer, primary_key=True),
    *_owned(),
    C("task_type", sa.String(30), nullable=False),
    C("decision", Json, nullable=False),
    _moment("created_at"),
)

ratings = Table(
    "ratings",
    metadata,
    C("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    C("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    C("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    C("rating", sa.SmallInteger, nullable=False),
    C("comment", sa.Text),
    _moment("created_at"),
)

# Breakers tell of a provider's health, not of anyone's work: they belong to the installation.
breakers = Table(
    "breakers",
    metadata,
    C("provider", sa.String(60), primary_key=True),
    C("model", sa.String(160), primary_key=True),
    C("state", Json, nullable=False),
    _moment("updated_at"),
)

budgets = Table(
    "budgets",
    metadata,
    _id(),
    *_owned(),
    C("scope", sa.String(20), nullable=False),
    C("subject_id", Id, nullable=False),
    C("period", sa.String(10), nullable=False),
    C("limit_nanousd", sa.BigInteger, nullable=False),
    _moment("created_at"),
    UniqueConstraint("scope", "subject_id", "period"),
)

# Every call reserves here and settles here; what a budget has left is read from these rows and nowhere else.
ledger = Table(
    "ledger",
    metadata,
    _id(),
    *_owned(),
    C("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    C("attempt_id", Id, ForeignKey("attempts.id"), nullable=False, unique=True),
    C("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    C("reserved_nanousd", sa.BigInteger, nullable=False),
    C("settled_nanousd", sa.BigInteger),
    _moment("reserved_at"),
    _moment("settled_at", nullable=True),
    Index(None, "task_id"),
    Index(None, "owner_id", "reserved_at"),
)

integrations = Table(
    "integrations",
    metadata,
    _id(),
    *_owned(),
    C("provider", sa.String(60), nullable=False),
    C("status", sa.String(20), nullable=False),
    C("sealed_key", sa.LargeBinary),
    C("config", Json, nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    UniqueConstraint("owner_id", "provider"),
)

audit_logs = Table(
    "audit_logs",
    metadata,
    C("sequence", Sequence, primary_key=True, autoincrement=False),
    C("organisation_id", Id, nullable=False),
    C("owner_id", Id, nullable=False),
    C("at", sa.String(32), nullable=False),
    C("principal", sa.String(160), nullable=False),
    C("action", sa.String(50), nullable=False),
    C("subject", sa.String(200), nullable=False),
    C("payload", sa.Text, nullable=False),
    C("address", sa.String(60)),
    C("user_agent", sa.String(200)),
    C("previous_hash", sa.String(64), nullable=False),
    C("hash", sa.String(64), nullable=False),
    Index(None, "organisation_id", "sequence"),
    Index(None, "action", "sequence"),
    Index(None, "subject", "sequence"),
)
