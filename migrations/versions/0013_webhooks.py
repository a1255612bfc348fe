"""Webhooks, and what is sent to them.

On PostgreSQL they are held to their organisation as all other rows are, see 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.Uuid(as_uuid=False)
TABLES = ("webhooks", "webhook_deliveries")
INDEXES = (
    ("webhooks", "organisation_id", "created_at"),
    ("webhooks", "owner_id", "created_at"),
    ("webhook_deliveries", "next_at"),
    ("webhook_deliveries", "webhook_id", "next_at"),
    ("webhook_deliveries", "webhook_id", "created_at"),
    ("webhook_deliveries", "created_at"),
)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        *_owned("webhooks"),
        sa.Column("url", sa.String(length=300), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("events", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("off_because", sa.String(length=200), nullable=True),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_before", sa.LargeBinary(), nullable=True),
        _moment("before_until", nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("failing_since", nullable=True),
        _moment("last_at", nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_ok", sa.Boolean(), nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_table(
        "webhook_deliveries",
        *_owned("webhook_deliveries"),
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.JSON(none_as_null=True), nullable=False),
        _moment("next_at", nullable=True),
        _moment("created_at"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id")),
    )
    for table, *columns in INDEXES:
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
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


def _owned(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("id", ID, nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f(f"fk_{table}_organisation_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f(f"fk_{table}_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _moment(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
