"""The tables of agents, of tasks and of what is learnt from these. Every row of the domain carries its owner and
organisation, so that isolating tenants is cheap.

Those of every module here whose name ends in `_tables` are found by that, and of the same metadata. `migrations/`
is what makes them; a test proves that both say the same.
"""

from importlib import import_module
from pkgutil import iter_modules

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, text

import vel_tutor_mcp.store
from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER, LONGEST_STEP
from vel_tutor_mcp.store.columns import Id, Json, Sequence, TraceParent, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata as metadata  # noqa: PLC0414 - the form of what is exported anew

for module in iter_modules(vel_tutor_mcp.store.__path__):
    if module.name.endswith("_tables"):
        import_module(f"vel_tutor_mcp.store.{module.name}")

agents = Table(
    "agents",
    metadata,
    row_id(),
    *owned(),
    Column("name", sa.String(100), nullable=False),
    Column("type", sa.String(30), nullable=False, doc="mcp_orchestrator, code_generator or researcher"),
    Column("status", sa.String(20), nullable=False),
    Column("version", sa.Integer, nullable=False),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True, doc="since when it is gone; what it did stays"),
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
"""Configured roles, as they are now."""

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("agent_id", Id, ForeignKey("agents.id"), primary_key=True),
    Column("version", sa.Integer, primary_key=True),
    *owned(),
    Column("config", Json, nullable=False, doc="instructions, policy, limits"),
    moment("created_at"),
)
"""Every configuration that an agent had; a task keeps to the one that it was given with."""

_LISTED = ("created_at", "id", "status", "agent_id", "provider", "model", "task_type", "inferred_type")
tasks = Table(
    "tasks",
    metadata,
    row_id(),
    *owned(),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", sa.String(100), nullable=False),
    Column("agent_version", sa.Integer, nullable=False, doc="which configuration it runs with"),
    Column("status", sa.String(20), nullable=False),
    Column("prompt", sa.Text, nullable=False),
    Column("task_type", sa.String(30)),
    Column("inferred_type", sa.String(30), doc="what its prompt was taken for"),
    Column("priority", sa.SmallInteger, nullable=False, doc="greater goes first"),
    Column("parameters", Json, nullable=False, doc="data for it, sent with the prompt"),
    Column("response_schema", Json, doc="what the answer must match"),
    Column("max_cost_nanousd", sa.BigInteger),
    Column("attempt_set", sa.Integer, nullable=False),
    Column("recoveries", sa.Integer, nullable=False, doc="crashes since an attempt ended"),
    Column("cancel_requested", sa.Boolean, nullable=False, doc="it is to be stopped"),
    Column("executor", sa.String(120)),
    Column("running", sa.Boolean, nullable=False, doc="a process is at work on it, or died at it"),
    Column("output", sa.Text),
    Column("partial", sa.Boolean, nullable=False, doc="the output is what had arrived when it was cut or stopped"),
    Column("provider", sa.String(LONGEST_PROVIDER), doc="that answered"),
    Column("model", sa.String(LONGEST_NAME), doc="that answered"),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("created_at"),
    moment("updated_at"),
    moment("retried_at", nullable=True, doc="when the present attempt set began"),
    moment("started_at", nullable=True),
    moment("ended_at", nullable=True),
    # Of a run's step; no reference, for SQLite adds none to a table that is there.
    Column("run_id", Id, doc="of which run, if any"),
    Column("step_id", sa.String(LONGEST_STEP), doc="of which step, if any"),
    Column("item", sa.Integer, nullable=False, server_default="0", doc="which item of a map; 0 elsewhere"),
    Column("retries_left", sa.Integer, nullable=False, server_default="0", doc="of its step's own"),
    Column(
        "turn",
        sa.Integer,
        nullable=False,
        server_default="1",
        doc="counts from 1 how often the attempt set had to wait",
    ),
    moment("not_before", nullable=True, doc="until when it waits its turn"),
    Column("waits_for", sa.String(LONGEST_PROVIDER), doc="at which provider it waits for a place"),
    Column("config_changes", Json, doc="what it has other than its agent's"),
    Column("traceparent", TraceParent, doc="where in a trace it was submitted, if that was traced"),
    # All that lists filter and sort by: they and their totals read no row but those of the page.
    Index("ix_tasks_of_organisation", "organisation_id", *_LISTED),
    Index("ix_tasks_of_owner", "organisation_id", "owner_id", *_LISTED),
    Index(None, "agent_id", "status"),
    # For `admission`: from owner to owner, and each one's in the order of their turn.
    Index(None, "status", "owner_id", "priority", "created_at"),
    # For lists of what is in a state that few have.
    Index(None, "organisation_id", "status", "created_at"),
    # A step that is begun anew after a crash makes no second task.
    Index("uq_tasks_run_id_step_id_item", "run_id", "step_id", "item", unique=True),
)
"""Units of work, those of runs' steps too."""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("key", sa.String(200), primary_key=True, doc="as the caller made it up"),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("body_hash", sa.String(64), nullable=False),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False, doc="the task that it stands for"),
    moment("created_at"),
)
"""By which a task that is submitted again is found. They are kept for ever."""

attempts = Table(
    "attempts",
    metadata,
    row_id(),
    *owned(),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("attempt_set", sa.Integer, nullable=False),
    Column("number", sa.Integer, nullable=False, doc="within the set"),
    Column("provider", sa.String(LONGEST_PROVIDER), nullable=False),
    Column("model", sa.String(LONGEST_NAME), nullable=False),
    Column("served_model", sa.String(LONGEST_NAME), doc="what the provider says that answered"),
    Column("outcome", sa.String(20), nullable=False, doc="how it ended, or that it is open"),
    Column("failure", sa.String(20), doc="what kind: docs/reference/errors.md"),
    Column("error", sa.Text, doc="the provider's words, masked"),
    Column("retry_after", sa.Float, doc="seconds that the provider asked to wait"),
    Column("partial", sa.Text, doc="what had arrived, where it failed"),
    Column("tokens_in", sa.Integer),
    Column("tokens_out", sa.Integer),
    Column("cost_nanousd", sa.BigInteger, doc="as settled"),
    Column("first_token_ms", sa.Integer, doc="milliseconds to the first token"),
    Column("total_ms", sa.Integer, doc="milliseconds to the last one"),
    moment("started_at"),
    moment("ended_at", nullable=True),
    UniqueConstraint("task_id", "attempt_set", "number"),
    # What is open and what began in the last minute: the limits of providers (`admission.free_places`).
    Index(None, "provider", "outcome"),
    Index(None, "provider", "started_at"),
    # For roll-ups, metrics and alerts.
    Index(None, "ended_at"),
)
"""Calls of one model for a task."""

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
    # The stamp that `areas` gives to who sees their own.
    Index(None, "owner_id", "sequence"),
)
"""The history of tasks; its numbers are what streams go on from."""

route_decisions = Table(
    "route_decisions",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("attempt_set", sa.Integer, primary_key=True),
    *owned(),
    Column("task_type", sa.String(30), nullable=False),
    Column("decision", Json, nullable=False, doc="candidates, exclusions, reasons, propensity"),
    moment("created_at"),
    Index(None, "organisation_id", "created_at"),
)
"""Which models were to be asked for an attempt set, and why."""

ratings = Table(
    "ratings",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("rating", sa.SmallInteger, nullable=False, doc="1 to 5"),
    Column("comment", sa.Text, doc="why"),
    moment("created_at"),
    Column("good", sa.Float, doc="what it added to `evidence`, to be taken back"),
    Column("bad", sa.Float, doc="likewise"),
)
"""What people say of answers; a later one replaces it."""

evidence = Table(
    "evidence",
    metadata,
    Column("organisation_id", Id, ForeignKey("organisations.id"), primary_key=True),
    Column("task_type", sa.String(30), primary_key=True),
    Column("provider", sa.String(LONGEST_PROVIDER), primary_key=True),
    Column("model", sa.String(LONGEST_NAME), primary_key=True),
    Column("good", sa.Float, nullable=False, doc="answers that were, decaying with time"),
    Column("bad", sa.Float, nullable=False, doc="answers that were not, likewise"),
    moment("updated_at"),
)
"""What all people of an organisation say of a model's answers, so no single one owns a row."""

breakers = Table(
    "breakers",
    metadata,
    Column("provider", sa.String(LONGEST_PROVIDER), primary_key=True),
    Column("model", sa.String(LONGEST_NAME), primary_key=True),
    Column("state", Json, nullable=False, doc="failures, and until when it is open"),
    moment("updated_at"),
)
"""Circuit breakers tell of a provider's health, not of anyone's work."""

integrations = Table(
    "integrations",
    metadata,
    row_id(),
    *owned(),
    Column("provider", sa.String(LONGEST_PROVIDER), nullable=False),
    Column("status", sa.String(20), nullable=False),
    Column("sealed_key", sa.LargeBinary, doc="AES-256-GCM under the secret key"),
    Column("config", Json, nullable=False, doc="base URL, the key's end, what was last tried"),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("owner_id", "provider"),
)
"""Owners' own keys at providers."""
