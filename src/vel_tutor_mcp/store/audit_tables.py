"""The tables of the audit trail."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Table

from vel_tutor_mcp.models import LONGEST_NAME
from vel_tutor_mcp.store.columns import Id, Sequence
from vel_tutor_mcp.store.people_tables import metadata

audit_logs = Table(
    "audit_logs",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False, doc="its number, without gaps"),
    Column("organisation_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),
    # Times and payloads are texts, so that what was hashed comes back letter by letter.
    Column("at", sa.String(32), nullable=False, doc="ISO 8601, UTC"),
    Column("principal", sa.String(LONGEST_NAME), nullable=False, doc="who did it"),
    Column("action", sa.String(50), nullable=False, doc="what was done"),
    Column("subject", sa.String(200), nullable=False, doc="to what"),
    Column("payload", sa.Text, nullable=False, doc="more of it, masked, as JSON"),
    Column("address", sa.String(60), doc="from where, over HTTP"),
    Column("user_agent", sa.String(200), doc="by which client, over HTTP"),
    Column("previous_hash", sa.String(64), nullable=False, doc="of the entry before"),
    Column("hash", sa.String(64), nullable=False, doc="SHA-256 over the rest of the entry"),
    Index("ix_audit_logs_of_organisation", "organisation_id", "sequence", "owner_id", "action", "principal", "at"),
    Index(None, "organisation_id", "subject", "sequence"),
    Index(None, "owner_id", "sequence"),
)
"""The trail: each entry with the hash of the one before."""

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False, doc="of the last entry that it covers"),
    Column("hash", sa.String(64), nullable=False, doc="of that entry"),
    Column("public_key", sa.String(64), nullable=False, doc="whose signature it is"),
    Column("at", sa.String(32), nullable=False, doc="ISO 8601, UTC"),
    Column("signature", sa.String(128), nullable=False, doc="Ed25519"),
    Column("archive", sa.String(100), doc="the file that has the entries up to here"),
)
"""Where the trail was signed; those with an archive let older entries leave the database."""
