"""Errands: the items of a Task Master project that a run's step has taken on; and whose bridge has to do with it.

On PostgreSQL they are held to their organisation as all other rows are, see 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ID = sa.Uuid(as_uuid=False)


def upgrade() -> None:
    op.add_column("run_steps", sa.Column("home", sa.String(length=32), nullable=True))
    op.create_index("ix_run_steps_home", "run_steps", ["home"])
    op.create_table(
        "errands",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("step_id", sa.String(length=40), nullable=False),
        sa.Column("item_id", sa.String(length=121), nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("lost", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("backup", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_errands_run_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_errands_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_errands_owner_id")),
        sa.PrimaryKeyConstraint("run_id", "step_id", "item_id", name=op.f("pk_errands")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE POLICY organisation ON errands "
            "USING (organisation_id = (SELECT acting_organisation()) OR (SELECT acts_for_all()))"
        )
        op.execute("ALTER TABLE errands ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("errands")
    op.drop_index("ix_run_steps_home", table_name="run_steps")
    op.drop_column("run_steps", "home")
