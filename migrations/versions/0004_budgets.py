"""Budgets of agents, users and organisations, hard or soft, and what keeps their sums cheap."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.Uuid(as_uuid=False)
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("budgets", sa.Column("kind", sa.String(length=10), nullable=False, server_default="hard"))
    op.add_column("budgets", sa.Column("updated_at", UTC, nullable=True))
    op.create_index("ix_ledger_agent_id_reserved_at", "ledger", ["agent_id", "reserved_at"])
    op.create_index("ix_ledger_organisation_id_reserved_at", "ledger", ["organisation_id", "reserved_at"])
    op.create_table(
        "ledger_sums",
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("since", UTC, nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("settled_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("through", UTC, nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_ledger_sums_organisation_id")),
        sa.PrimaryKeyConstraint("scope", "subject_id", "since", "period", name=op.f("pk_ledger_sums")),
    )
    op.create_index("ix_ledger_sums_organisation_id_through", "ledger_sums", ["organisation_id", "through"])


def downgrade() -> None:
    op.drop_table("ledger_sums")
    op.drop_index("ix_ledger_organisation_id_reserved_at", "ledger")
    op.drop_index("ix_ledger_agent_id_reserved_at", "ledger")
    op.drop_column("budgets", "updated_at")
    op.drop_column("budgets", "kind")
