"""The tables of the audit trail."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Table

from vel_tutor_mcp.models import LONGEST_NAME
from vel_tutor_mcp.store.columns import Id, Sequence
from vel_tutor_mcp.store.people_tables import metadata

audit_logs = Table(
    "audit_logs",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    Column("organisation_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),
    Column("at", sa.String(32), nullable=False),
    Column("principal", sa.String(LONGEST_NAME), nullable=False),
    Column("action", sa.String(50), nullable=False),
    Column("subject", sa.String(200), nullable=False),
    Column("payload", sa.Text, nullable=False),
    Column("address", sa.String(60)),
    Column("user_agent", sa.String(200)),
    Column("previous_hash", sa.String(64), nullable=False),
    Column("hash", sa.String(64), nullable=False),
    Index("ix_audit_logs_of_organisation", "organisation_id", "sequence", "owner_id", "action", "principal", "at"),
    Index(None, "organisation_id", "subject", "sequence"),
    Index(None, "owner_id", "sequence"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    *(Column(name, sa.String(64), nullable=False) for name in ("hash", "public_key")),
    Column("at", sa.String(32), nullable=False),
    Column("signature", sa.String(128), nullable=False),
    Column("archive", sa.String(100)),
)
