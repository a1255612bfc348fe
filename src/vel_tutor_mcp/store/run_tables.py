"""The tables of workflows and their runs."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from vel_tutor_mcp.models import LONGEST_ITEM, LONGEST_STEP
from vel_tutor_mcp.store.columns import Id, Json, Sequence, TraceParent, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata

workflows = Table(
    "workflows",
    metadata,
    row_id(),
    *owned(),
    Column("name", sa.String(100), nullable=False),
    Column("version", sa.Integer, nullable=False),
    Column("template", sa.Boolean, nullable=False, doc="it is offered as a prompt"),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("owner_id", "name"),
    Index(None, "organisation_id", "created_at"),
)
"""Named definitions of steps, as they are now."""

workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow_id", Id, ForeignKey("workflows.id"), primary_key=True),
    Column("version", sa.Integer, primary_key=True),
    *owned(),
    Column("definition", Json, nullable=False, doc="steps, inputs, output"),
    moment("created_at"),
)
"""Every definition that a workflow had; a run goes on with the one that it began with."""

runs = Table(
    "runs",
    metadata,
    row_id(),
    *owned(),
    Column("workflow_id", Id, ForeignKey("workflows.id"), nullable=False),
    Column("workflow_name", sa.String(100), nullable=False, doc="the workflow's name then"),
    Column("workflow_version", sa.Integer, nullable=False, doc="which definition it runs"),
    Column("status", sa.String(20), nullable=False),
    Column("inputs", Json, nullable=False, doc="what it was started with"),
    Column("max_cost_nanousd", sa.BigInteger, doc="its hard limit, all tasks together"),
    Column("idempotency_key", sa.String(200)),
    Column("body_hash", sa.String(64), nullable=False),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("created_at"),
    moment("updated_at"),
    moment("ended_at", nullable=True),
    Column("traceparent", TraceParent, doc="where in a trace it was started, if that was traced"),
    UniqueConstraint("owner_id", "idempotency_key"),
    Index(None, "owner_id", "created_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "workflow_id", "created_at"),
    Index(None, "owner_id", "status", "created_at"),
    Index(None, "organisation_id", "status", "created_at"),
)
"""Executions of workflows."""

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("step_id", sa.String(LONGEST_STEP), primary_key=True),
    *owned(),
    Column("position", sa.Integer, nullable=False, doc="its place in the definition"),
    Column("status", sa.String(20), nullable=False),
    Column("seen", Json, doc="what it was given: items, a question, a project"),
    Column("output", Json),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    moment("started_at", nullable=True),
    moment("due_at", nullable=True, doc="when its time is over"),
    moment("ended_at", nullable=True),
    # Of work on a Task Master project: see `workflows.model.RunStep`.
    Column("home", sa.String(32), doc="whose bridge to Task Master works on it; empty: none has taken it on"),
    # What is overdue, for the care loop; and what is of a home, for its bridge.
    Index(None, "due_at"),
    Index(None, "home"),
)
"""How far each step of a run is."""

errands = Table(
    "errands",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("step_id", sa.String(LONGEST_STEP), primary_key=True),
    Column("item_id", sa.String(LONGEST_ITEM), primary_key=True, doc="its id in tasks.json"),
    *owned(),
    Column("number", sa.Integer, nullable=False, doc="counts the step's errands from 0"),
    Column("title", sa.Text, nullable=False, doc="its title there"),
    Column("state", sa.String(20), nullable=False, doc="claiming, working, reviewing, writing or ended"),
    Column("outcome", sa.String(20), doc="how it is left in the file"),
    Column("error_code", sa.String(40)),
    Column("error_message", sa.Text),
    Column("lost", Json, nullable=False, doc="what was gone from the file after our write"),
    Column("backup", sa.Text, doc="the file as it was before"),
    moment("updated_at"),
)
"""The items of a Task Master project that a run's step has taken on."""

run_events = Table(
    "run_events",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    *owned(),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("step_id", sa.String(LONGEST_STEP), doc="of which step, if any"),
    Column("kind", sa.String(30), nullable=False),
    Column("message", sa.Text, nullable=False),
    Column("percent", sa.SmallInteger, nullable=False),
    Column("executor", sa.String(120), nullable=False),
    moment("at"),
    Index(None, "run_id", "sequence"),
    # As in `task_events`.
    Index(None, "owner_id", "sequence"),
)
"""The history of runs."""
