"""Indexes that lists, their totals and `/api/changes` are read from, so that no wide row is read for them.

Those of tasks and of the audit trail take the place of narrower ones. On PostgreSQL the functions of the policies no
longer keep several processes from working on one statement.
"""

from collections.abc import Mapping

from alembic import op

revision = "0016"
down_revision = "0015"

# By name: table and columns.
ADDED = {
    "ix_tasks_of_organisation": (
        "tasks", "organisation_id", "created_at", "id", "status", "agent_id", "provider", "model", "task_type",
        "inferred_type",
    ),
    "ix_tasks_of_owner": (
        "tasks", "organisation_id", "owner_id", "created_at", "id", "status", "agent_id", "provider", "model",
        "task_type", "inferred_type",
    ),
    "ix_task_events_owner_id_sequence": ("task_events", "owner_id", "sequence"),
    "ix_run_events_owner_id_sequence": ("run_events", "owner_id", "sequence"),
    "ix_audit_logs_of_organisation": (
        "audit_logs", "organisation_id", "sequence", "owner_id", "action", "principal", "at",
    ),
    "ix_audit_logs_organisation_id_subject_sequence": ("audit_logs", "organisation_id", "subject", "sequence"),
    "ix_audit_logs_owner_id_sequence": ("audit_logs", "owner_id", "sequence"),
}  # fmt: skip
REPLACED = {
    "ix_tasks_organisation_id_created_at": ("tasks", "organisation_id", "created_at"),
    "ix_tasks_owner_id_created_at": ("tasks", "owner_id", "created_at"),
    "ix_audit_logs_organisation_id_sequence": ("audit_logs", "organisation_id", "sequence"),
    "ix_audit_logs_action_sequence": ("audit_logs", "action", "sequence"),
    "ix_audit_logs_subject_sequence": ("audit_logs", "subject", "sequence"),
}
FUNCTIONS = ("acting_organisation()", "acts_for_all()")


def upgrade() -> None:
    _exchange(REPLACED, ADDED)
    _mark("SAFE")


def downgrade() -> None:
    _mark("UNSAFE")
    _exchange(ADDED, REPLACED)


def _exchange(old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]) -> None:
    for name, (table, *columns) in new.items():
        op.create_index(name, table, columns)
    for name, (table, *_) in old.items():
        op.drop_index(name, table)


def _mark(parallel: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(f"ALTER FUNCTION {function} PARALLEL {parallel}")
