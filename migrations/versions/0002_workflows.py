"""Workflows and their runs; tasks that belong to a run, or wait for a time or a provider."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.Uuid(as_uuid=False)
JSON = sa.JSON(none_as_null=True)
UTC = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _workflows()
    _runs()
    for column in _of_tasks():
        op.add_column("tasks", column)
    op.create_index("ix_tasks_organisation_id_status_created_at", "tasks", ["organisation_id", "status", "created_at"])
    op.create_index("uq_tasks_run_id_step_id_item", "tasks", ["run_id", "step_id", "item"], unique=True)
    op.create_index("ix_attempts_provider_outcome", "attempts", ["provider", "outcome"])
    op.create_index("ix_attempts_provider_started_at", "attempts", ["provider", "started_at"])


def downgrade() -> None:
    op.drop_index("ix_attempts_provider_started_at", "attempts")
    op.drop_index("ix_attempts_provider_outcome", "attempts")
    op.drop_index("uq_tasks_run_id_step_id_item", "tasks")
    op.drop_index("ix_tasks_organisation_id_status_created_at", "tasks")
    for column in reversed(_of_tasks()):
        op.drop_column("tasks", column.name)
    for table in ("run_events", "run_steps", "runs", "workflow_versions", "workflows"):
        op.drop_table(table)


def _of_tasks() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("run_id", ID, nullable=True),
        sa.Column("step_id", sa.String(length=40), nullable=True),
        sa.Column("item", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("retries_left", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("turn", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("not_before", UTC, nullable=True),
        sa.Column("waits_for", sa.String(length=60), nullable=True),
    )


def _owned() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("organisation_id", ID, nullable=False), sa.Column("owner_id", ID, nullable=False)


def _of_owner(table: str) -> tuple[sa.ForeignKeyConstraint, sa.ForeignKeyConstraint]:
    return (
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f(f"fk_{table}_owner_id")),
    )


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", ID, nullable=False),
        *_owned(),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("template", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        *_of_owner("workflows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_workflows_owner_id_name")),
    )
    op.create_index("ix_workflows_organisation_id_created_at", "workflows", ["organisation_id", "created_at"])
    op.create_table(
        "workflow_versions",
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *_owned(),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        *_of_owner("workflow_versions"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_workflow_versions_workflow_id")),
        sa.PrimaryKeyConstraint("workflow_id", "version", name=op.f("pk_workflow_versions")),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        *_owned(),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("workflow_name", sa.String(length=100), nullable=False),
        sa.Column("workflow_version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("max_cost_nanousd", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        *_of_owner("runs"),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_runs_workflow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("owner_id", "idempotency_key", name=op.f("uq_runs_owner_id_idempotency_key")),
    )
    op.create_index("ix_runs_owner_id_created_at", "runs", ["owner_id", "created_at"])
    op.create_index("ix_runs_organisation_id_created_at", "runs", ["organisation_id", "created_at"])
    op.create_index("ix_runs_workflow_id_created_at", "runs", ["workflow_id", "created_at"])
    op.create_index("ix_runs_owner_id_status_created_at", "runs", ["owner_id", "status", "created_at"])
    op.create_index("ix_runs_organisation_id_status_created_at", "runs", ["organisation_id", "status", "created_at"])
    op.create_table(
        "run_steps",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("step_id", sa.String(length=40), nullable=False),
        *_owned(),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("seen", JSON, nullable=True),
        sa.Column("output", JSON, nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("due_at", UTC, nullable=True),
        sa.Column("ended_at", UTC, nullable=True),
        *_of_owner("run_steps"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_steps_run_id")),
        sa.PrimaryKeyConstraint("run_id", "step_id", name=op.f("pk_run_steps")),
    )
    op.create_index("ix_run_steps_due_at", "run_steps", ["due_at"])
    op.create_table(
        "run_events",
        sa.Column("sequence", SEQUENCE, nullable=False),
        *_owned(),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("step_id", sa.String(length=40), nullable=True),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("percent", sa.SmallInteger(), nullable=False),
        sa.Column("executor", sa.String(length=120), nullable=False),
        sa.Column("at", UTC, nullable=False),
        *_of_owner("run_events"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_run_events")),
    )
    op.create_index("ix_run_events_run_id_sequence", "run_events", ["run_id", "sequence"])
