"""The tables of webhooks, and of what is sent to them. `tables` has the others."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table

from vel_tutor_mcp.store.columns import Id, Json, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata

LONGEST_WEBHOOK_URL = 300
LONGEST_DESCRIPTION = 200

# How it stands with its receiver is kept here too, so that a list need not look through what was sent.
webhooks = Table(
    "webhooks",
    metadata,
    row_id(),
    *owned(),
    Column("url", sa.String(LONGEST_WEBHOOK_URL), nullable=False),
    Column("description", sa.String(LONGEST_DESCRIPTION), nullable=False),
    Column("events", Json, nullable=False),
    Column("active", sa.Boolean, nullable=False),
    Column("off_because", sa.String(LONGEST_DESCRIPTION)),
    # The secret that signs, and until when the one before it signs as well.
    Column("sealed_secret", sa.LargeBinary, nullable=False),
    Column("sealed_before", sa.LargeBinary),
    moment("before_until", nullable=True),
    # Deliveries that failed since the last one that did not.
    Column("failures", sa.Integer, nullable=False),
    moment("failing_since", nullable=True),
    moment("last_at", nullable=True),
    Column("last_status", sa.Integer),
    Column("last_ok", sa.Boolean),
    moment("created_at"),
    moment("updated_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "owner_id", "created_at"),
)

# What one webhook is told once: written with the change that it tells of. While it waits it is due at `next_at`; who
# sends it sets that ahead first, so that it is due again where they die before they have noted how it went.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    row_id(),
    *owned(),
    Column("webhook_id", Id, ForeignKey("webhooks.id"), nullable=False),
    Column("event", sa.String(40), nullable=False),
    Column("body", sa.Text, nullable=False),
    Column("state", sa.String(20), nullable=False),
    Column("tries_left", sa.Integer, nullable=False),
    Column("attempts", Json, nullable=False),
    moment("next_at", nullable=True),
    moment("created_at"),
    Index(None, "next_at"),
    Index(None, "webhook_id", "next_at"),
    Index(None, "webhook_id", "created_at"),
    Index(None, "created_at"),
)
