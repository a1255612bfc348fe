"""The tables. Every row of the domain carries its owner and organisation, so that isolating tenants is cheap.

`migrations/` is what makes them; a test proves that both say the same.
"""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, text

import vel_tutor_mcp.store.alert_tables
import vel_tutor_mcp.store.comparison_tables
import vel_tutor_mcp.store.usage_tables
import vel_tutor_mcp.store.webhook_tables  # noqa: F401 - they are of the same metadata
from vel_tutor_mcp.models import LONGEST_ITEM, LONGEST_NAME, LONGEST_PROVIDER, LONGEST_STEP
from vel_tutor_mcp.store.columns import Id, Json, Sequence, Utc, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata as metadata  # noqa: PLC0414 - the form of what is exported anew

agents = Table(
    "agents",
    metadata,
    row_id(),
    *owned(),
    Column("name", sa.String(100), nullable=False),
    Column("type", sa.String(30), nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("version", sa.Integer, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
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
    Column("agent_id", Id, ForeignKey("agents.id"), primary_key=True),
    Column("version", sa.Integer, primary_key=True),
    *owned(),
    Column("config", Json, nullable=False),
    moment("created_at"),
)

_LISTED = ("created_at", "id", "status", "agent_id", "provider", "model", "task_type", "inferred_type")
tasks = Table(
    "tasks",
    metadata,
    row_id(),
    *owned(),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", sa.String(100), nullable=False),
    Column("agent_version", sa.Integer, nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("prompt", sa.Text, nullable=False),
    Column("task_type", sa.String(30)),
    Column("inferred_type", sa.String(30)),
    Column("priority", sa.SmallInteger, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("response_schema", Json),
    Column("max_cost_nanousd", sa.BigInteger),
    Column("attempt_set", sa.Integer, nullable=False),
    Column("recoveries", sa.Integer, nullable=False),
    Column("cancel_requested", sa.Boolean, nullable=False),
    Column("executor", sa.String(120)),
    Column("running", sa.Boolean, nullable=False),
    Column("output", sa.Text),
    Column("partial", sa.Boolean, nullable=False),
    Column("provider", sa.String(LONGEST_PROVIDER)),
    Column("model", sa.String(LONGEST_NAME)),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("created_at"),
    moment("updated_at"),
    moment("retried_at", nullable=True),
    moment("started_at", nullable=True),
    moment("ended_at", nullable=True),
    # Of a run's step; no reference, for SQLite adds none to a table that is there.
    Column("run_id", Id),
    Column("step_id", sa.String(LONGEST_STEP)),
    Column("item", sa.Integer, nullable=False, server_default="0"),
    Column("retries_left", sa.Integer, nullable=False, server_default="0"),
    # Until when, or for a place at which provider, it waits its turn.
    Column("turn", sa.Integer, nullable=False, server_default="1"),
    moment("not_before", nullable=True),
    Column("waits_for", sa.String(LONGEST_PROVIDER)),
    Column("config_changes", Json),
    Index("ix_tasks_of_organisation", "organisation_id", *_LISTED),
    Index("ix_tasks_of_owner", "organisation_id", "owner_id", *_LISTED),
    Index(None, "agent_id", "status"),
    Index(None, "status", "owner_id", "priority", "created_at"),
    Index(None, "organisation_id", "status", "created_at"),
    Index("uq_tasks_run_id_step_id_item", "run_id", "step_id", "item", unique=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("key", sa.String(200), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("body_hash", sa.String(64), nullable=False),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    moment("created_at"),
)

attempts = Table(
    "attempts",
    metadata,
    row_id(),
    *owned(),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("attempt_set", sa.Integer, nullable=False),
    Column("number", sa.Integer, nullable=False),
    Column("provider", sa.String(LONGEST_PROVIDER), nullable=False),
    Column("model", sa.String(LONGEST_NAME), nullable=False),
    Column("served_model", sa.String(LONGEST_NAME)),
    Column("outcome", sa.String(20), nullable=False),
    Column("failure", sa.String(20)),
    Column("error", sa.Text),
    Column("retry_after", sa.Float),
    Column("partial", sa.Text),
    Column("tokens_in", sa.Integer),
    Column("tokens_out", sa.Integer),
    Column("cost_nanousd", sa.BigInteger),
    Column("first_token_ms", sa.Integer),
    Column("total_ms", sa.Integer),
    moment("started_at"),
    moment("ended_at", nullable=True),
    UniqueConstraint("task_id", "attempt_set", "number"),
    Index(None, "provider", "outcome"),
    Index(None, "provider", "started_at"),
    Index(None, "ended_at"),
)

task_events = Table(
    "task_events",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    *owned(),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("kind", sa.String(30), nullable=False),
    Column("message", sa.Text, nullable=False),
    Column("percent", sa.SmallInteger, nullable=False),
    moment("at"),
    Index(None, "task_id", "sequence"),
    Index(None, "owner_id", "sequence"),
)

route_decisions = Table(
    "route_decisions",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("attempt_set", sa.Integer, primary_key=True),
    *owned(),
    Column("task_type", sa.String(30), nullable=False),
    Column("decision", Json, nullable=False),
    moment("created_at"),
    Index(None, "organisation_id", "created_at"),
)

workflows = Table(
    "workflows",
    metadata,
    row_id(),
    *owned(),
    Column("name", sa.String(100), nullable=False),
    Column("version", sa.Integer, nullable=False),
    Column("template", sa.Boolean, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("owner_id", "name"),
    Index(None, "organisation_id", "created_at"),
)

workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow_id", Id, ForeignKey("workflows.id"), primary_key=True),
    Column("version", sa.Integer, primary_key=True),
    *owned(),
    Column("definition", Json, nullable=False),
    moment("created_at"),
)

runs = Table(
    "runs",
    metadata,
    row_id(),
    *owned(),
    Column("workflow_id", Id, ForeignKey("workflows.id"), nullable=False),
    Column("workflow_name", sa.String(100), nullable=False),
    Column("workflow_version", sa.Integer, nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("inputs", Json, nullable=False),
    Column("max_cost_nanousd", sa.BigInteger),
    Column("idempotency_key", sa.String(200)),
    Column("body_hash", sa.String(64), nullable=False),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("created_at"),
    moment("updated_at"),
    moment("ended_at", nullable=True),
    UniqueConstraint("owner_id", "idempotency_key"),
    Index(None, "owner_id", "created_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "workflow_id", "created_at"),
    Index(None, "owner_id", "status", "created_at"),
    Index(None, "organisation_id", "status", "created_at"),
)

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("step_id", sa.String(LONGEST_STEP), primary_key=True),
    *owned(),
    Column("position", sa.Integer, nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("seen", Json),
    Column("output", Json),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("started_at", nullable=True),
    moment("due_at", nullable=True),
    moment("ended_at", nullable=True),
    # Of work on a Task Master project: see `workflows.model.RunStep`.
    Column("home", sa.String(32)),
    Index(None, "due_at"),
    Index(None, "home"),
)

# The items of a Task Master project that a run's step has taken on.
errands = Table(
    "errands",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("step_id", sa.String(LONGEST_STEP), primary_key=True),
    Column("item_id", sa.String(LONGEST_ITEM), primary_key=True),
    *owned(),
    Column("number", sa.Integer, nullable=False),
    Column("title", sa.Text, nullable=False),
    Column("state", sa.String(20), nullable=False),
    Column("outcome", sa.String(20)),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    Column("lost", Json, nullable=False),
    Column("backup", sa.Text),
    moment("updated_at"),
)

run_events = Table(
    "run_events",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    *owned(),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("step_id", sa.String(LONGEST_STEP)),
    Column("kind", sa.String(30), nullable=False),
    Column("message", sa.Text, nullable=False),
    Column("percent", sa.SmallInteger, nullable=False),
    Column("executor", sa.String(120), nullable=False),
    moment("at"),
    Index(None, "run_id", "sequence"),
    Index(None, "owner_id", "sequence"),
)

ratings = Table(
    "ratings",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("rating", sa.SmallInteger, nullable=False),
    Column("comment", sa.Text),
    moment("created_at"),
    # What it added to `evidence`, which is taken back when it is changed.
    Column("good", sa.Float),
    Column("bad", sa.Float),
)

# Evidence sums what all people of an organisation say of a model's answers, so no single one owns a row.
evidence = Table(
    "evidence",
    metadata,
    Column("organisation_id", Id, ForeignKey("organisations.id"), primary_key=True),
    Column("task_type", sa.String(30), primary_key=True),
    Column("provider", sa.String(LONGEST_PROVIDER), primary_key=True),
    Column("model", sa.String(LONGEST_NAME), primary_key=True),
    Column("good", sa.Float, nullable=False),
    Column("bad", sa.Float, nullable=False),
    moment("updated_at"),
)

# Breakers tell of a provider's health, not of anyone's work: they belong to the installation.
breakers = Table(
    "breakers",
    metadata,
    Column("provider", sa.String(LONGEST_PROVIDER), primary_key=True),
    Column("model", sa.String(LONGEST_NAME), primary_key=True),
    Column("state", Json, nullable=False),
    moment("updated_at"),
)

budgets = Table(
    "budgets",
    metadata,
    row_id(),
    *owned(),
    Column("scope", sa.String(20), nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("period", sa.String(10), nullable=False),
    Column("limit_nanousd", sa.BigInteger, nullable=False),
    moment("created_at"),
    Column("kind", sa.String(10), nullable=False, server_default="hard"),
    moment("updated_at", nullable=True),
    UniqueConstraint("scope", "subject_id", "period"),
)

# Every call reserves here and settles here; what a budget has left is read from these rows and nowhere else.
ledger = Table(
    "ledger",
    metadata,
    row_id(),
    *owned(),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("attempt_id", Id, ForeignKey("attempts.id"), nullable=False, unique=True),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("reserved_nanousd", sa.BigInteger, nullable=False),
    Column("settled_nanousd", sa.BigInteger),
    moment("reserved_at"),
    moment("settled_at", nullable=True),
    Index(None, "task_id"),
    Index(None, "owner_id", "reserved_at"),
    Index(None, "agent_id", "reserved_at"),
    Index(None, "organisation_id", "reserved_at"),
)

# What the rows of a subject's period come to up to a moment before which none is open any more, so that no call has to
# add up a month. They hold nothing that the ledger does not: see `store.budgets`.
ledger_sums = Table(
    "ledger_sums",
    metadata,
    Column("scope", sa.String(20), primary_key=True),
    Column("subject_id", Id, primary_key=True),
    Column("since", Utc, primary_key=True),
    Column("period", sa.String(10), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("settled_nanousd", sa.BigInteger, nullable=False),
    moment("through"),
    Index(None, "organisation_id", "through"),
)

integrations = Table(
    "integrations",
    metadata,
    row_id(),
    *owned(),
    Column("provider", sa.String(LONGEST_PROVIDER), nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("sealed_key", sa.LargeBinary),
    Column("config", Json, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("owner_id", "provider"),
)

audit_logs = Table(
    "audit_logs",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    Column("organisation_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),
    Column("at", sa.String(32), nullable=False),
    Column("principal", sa.String(LONGEST_NAME), nullable=False),
    Column("action", sa.String(50), nullable=False),
    Column("subject", sa.String(200), nullable=False),
    Column("payload", sa.Text, nullable=False),
    Column("address", sa.String(60)),
    Column("user_agent", sa.String(200)),
    Column("previous_hash", sa.String(64), nullable=False),
    Column("hash", sa.String(64), nullable=False),
    Index("ix_audit_logs_of_organisation", "organisation_id", "sequence", "owner_id", "action", "principal", "at"),
    Index(None, "organisation_id", "subject", "sequence"),
    Index(None, "owner_id", "sequence"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    *(Column(name, sa.String(64), nullable=False) for name in ("hash", "public_key")),
    Column("at", sa.String(32), nullable=False),
    Column("signature", sa.String(128), nullable=False),
    Column("archive", sa.String(100)),
)
