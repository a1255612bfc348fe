"""What feedback says of models, and what each rating has added to it; decisions by time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.Uuid(as_uuid=False)


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("task_type", sa.String(length=30), nullable=False),
        sa.Column("provider", sa.String(length=60), nullable=False),
        sa.Column("model", sa.String(length=160), nullable=False),
        sa.Column("good", sa.Float(), nullable=False),
        sa.Column("bad", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_evidence_organisation_id")),
        sa.PrimaryKeyConstraint("organisation_id", "task_type", "provider", "model", name=op.f("pk_evidence")),
    )
    # Null in ratings of before: they have added nothing, so nothing is taken back when they are changed.
    op.add_column("ratings", sa.Column("good", sa.Float(), nullable=True))
    op.add_column("ratings", sa.Column("bad", sa.Float(), nullable=True))
    op.create_index(
        "ix_route_decisions_organisation_id_created_at", "route_decisions", ["organisation_id", "created_at"]
    )


def downgrade() -> None:
    op.drop_index("ix_route_decisions_organisation_id_created_at", "route_decisions")
    op.drop_column("ratings", "bad")
    op.drop_column("ratings", "good")
    op.drop_table("evidence")
