"""OAuth: clients that registered themselves, sign-ins of browsers with their codes, and which client a grant is of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.Uuid(as_uuid=False)
JSON = sa.JSON(none_as_null=True)
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("grants", sa.Column("client_id", sa.String(length=300), nullable=True))
    op.create_table(
        "oauth_clients",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("redirect_uris", JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("used_at", UTC, nullable=True),
        sa.Column("expires_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
    )
    op.create_index("ix_oauth_clients_used_at_created_at", "oauth_clients", ["used_at", "created_at"])
    op.create_index("ix_oauth_clients_expires_at", "oauth_clients", ["expires_at"])
    op.create_table(
        "authorizations",
        sa.Column("grant_id", ID, nullable=False),
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("session_hash", sa.String(length=64), nullable=True),
        sa.Column("code_hash", sa.String(length=64), nullable=True),
        sa.Column("redirect_uri", sa.String(length=500), nullable=True),
        sa.Column("challenge", sa.String(length=43), nullable=True),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("used_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_authorizations_organisation_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_authorizations_owner_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_authorizations_grant_id")),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_authorizations")),
    )
    op.create_index("uq_authorizations_session_hash", "authorizations", ["session_hash"], unique=True)
    op.create_index("uq_authorizations_code_hash", "authorizations", ["code_hash"], unique=True)
    op.create_index("ix_authorizations_owner_id", "authorizations", ["owner_id"])


def downgrade() -> None:
    for table in ("authorizations", "oauth_clients"):
        op.drop_table(table)
    op.drop_column("grants", "client_id")
