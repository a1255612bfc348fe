"""Roll-ups of usage, which the servers fill; and attempts by when they ended, as reports count them now.

Whom a row is of, PostgreSQL holds it to as all other rows, see 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

ID = sa.Uuid(as_uuid=False)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTS = ("tasks", "attempts", "completed", "fallbacks", "hedges")
SUMS = (
    "tokens_in", "tokens_out", "cost_nanousd", "answers_tokens_in", "answers_tokens_out", "answers_nanousd",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "usage_rollups",
        sa.Column("sequence", NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=10), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner_id", ID, nullable=True),
        sa.Column("agent", sa.String(length=100), nullable=True),
        sa.Column("provider", sa.String(length=60), nullable=True),
        sa.Column("model", sa.String(length=160), nullable=True),
        sa.Column("task_type", sa.String(length=30), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.Column("latencies", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_usage_rollups_organisation_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_usage_rollups_owner_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_usage_rollups")),
    )
    op.create_index(
        "ix_usage_rollups_organisation_id_kind_step_at_owner_id",
        "usage_rollups",
        ["organisation_id", "kind", "step", "at", "owner_id"],
    )
    op.create_index("ix_usage_rollups_step_at", "usage_rollups", ["step", "at"])
    op.create_table(
        "usage_rolled",
        sa.Column("step", sa.String(length=10), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("step", "at", name=op.f("pk_usage_rolled")),
    )
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"])
    op.drop_index("ix_attempts_organisation_id_started_at", table_name="attempts")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE POLICY organisation ON usage_rollups "
            "USING (organisation_id = (SELECT acting_organisation()) OR (SELECT acts_for_all()))"
        )
        op.execute("ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.create_index("ix_attempts_organisation_id_started_at", "attempts", ["organisation_id", "started_at"])
    op.drop_index("ix_attempts_ended_at", table_name="attempts")
    op.drop_table("usage_rolled")
    op.drop_table("usage_rollups")
