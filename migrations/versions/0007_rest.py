"""REST: limits of people and organisations, what they used of them, and answers kept for requests that come again.

Tasks with a configuration that is other than their agent's: an older process would run them with the agent's own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.Uuid(as_uuid=False)
JSON = sa.JSON(none_as_null=True)
UTC = sa.DateTime(timezone=True)
LIMITED = ("organisations", "users")
LIMITS = ("tasks_per_hour", "requests_per_minute")


def upgrade() -> None:
    for table in LIMITED:
        for name in LIMITS:
            op.add_column(table, sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("tasks", sa.Column("config_changes", JSON, nullable=True))
    op.create_table(
        "allowances",
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("begins_at", UTC, nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_allowances_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_allowances_owner_id")),
        sa.PrimaryKeyConstraint("owner_id", "kind", name=op.f("pk_allowances")),
    )
    op.create_table(
        "repeats",
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_repeats_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_repeats_owner_id")),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_repeats")),
    )
    op.create_index("ix_repeats_at", "repeats", ["at"])


def downgrade() -> None:
    for table in ("repeats", "allowances"):
        op.drop_table(table)
    op.drop_column("tasks", "config_changes")
    for table in LIMITED:
        for name in LIMITS:
            op.drop_column(table, name)
