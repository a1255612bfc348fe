"""Comparisons: one prompt asked of several models, a task each.

On PostgreSQL they are held to their organisation as all other rows are, see 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

ID = sa.Uuid(as_uuid=False)
TABLES = ("comparisons", "comparison_entries")
INDEXES = [[owner, moment] for moment in ("created_at", "updated_at") for owner in ("owner_id", "organisation_id")]


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", ID, nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("prompt_hash", sa.String(length=64), nullable=False),
        sa.Column("agent_name", sa.String(length=100), nullable=False),
        sa.Column("task_type", sa.String(length=30), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *_references("comparisons"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
        sa.UniqueConstraint("owner_id", "idempotency_key", name=op.f("uq_comparisons_owner_id_idempotency_key")),
    )
    for columns in INDEXES:
        op.create_index(f"ix_comparisons_{'_'.join(columns)}", "comparisons", columns)
    op.create_table(
        "comparison_entries",
        sa.Column("comparison_id", ID, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("provider", sa.String(length=60), nullable=False),
        sa.Column("model", sa.String(length=160), nullable=False),
        sa.ForeignKeyConstraint(
            ["comparison_id"], ["comparisons.id"], name=op.f("fk_comparison_entries_comparison_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_comparison_entries_task_id")),
        *_references("comparison_entries"),
        sa.PrimaryKeyConstraint("comparison_id", "position", name=op.f("pk_comparison_entries")),
        sa.UniqueConstraint("task_id", name=op.f("uq_comparison_entries_task_id")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(
                f"CREATE POLICY organisation ON {table} "
                "USING (organisation_id = (SELECT acting_organisation()) OR (SELECT acts_for_all()))"
            )
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _references(table: str) -> tuple[sa.ForeignKeyConstraint, sa.ForeignKeyConstraint]:
    return (
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f(f"fk_{table}_owner_id")),
    )
