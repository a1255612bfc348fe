"""The tables of webhooks, and of what is sent to them."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table

from vel_tutor_mcp.store.columns import Id, Json, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata

LONGEST_WEBHOOK_URL = 300
LONGEST_DESCRIPTION = 200

webhooks = Table(
    "webhooks",
    metadata,
    row_id(),
    *owned(),
    Column("url", sa.String(LONGEST_WEBHOOK_URL), nullable=False, doc="where to"),
    Column("description", sa.String(LONGEST_DESCRIPTION), nullable=False, doc="what it is for"),
    Column("events", Json, nullable=False, doc="of which events"),
    Column("active", sa.Boolean, nullable=False, doc="whether it is told"),
    Column("off_because", sa.String(LONGEST_DESCRIPTION), doc="why it was switched off"),
    Column("sealed_secret", sa.LargeBinary, nullable=False, doc="what signs; sealed under the secret key"),
    Column("sealed_before", sa.LargeBinary, doc="the secret before it"),
    moment("before_until", nullable=True, doc="until when that signs as well"),
    Column("failures", sa.Integer, nullable=False, doc="deliveries that failed since one did not"),
    moment("failing_since", nullable=True, doc="since when"),
    moment("last_at", nullable=True, doc="when one was last tried"),
    Column("last_status", sa.Integer, doc="what was answered then"),
    Column("last_ok", sa.Boolean, doc="whether it was taken"),
    moment("created_at"),
    moment("updated_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "owner_id", "created_at"),
)
"""Addresses that are told of events. How it stands with the receiver is kept here too, so that a list need not look
through what was sent."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    row_id(),
    *owned(),
    Column("webhook_id", Id, ForeignKey("webhooks.id"), nullable=False, doc="to which"),
    Column("event", sa.String(40), nullable=False, doc="of which event"),
    Column("body", sa.Text, nullable=False, doc="what is sent"),
    Column("state", sa.String(20), nullable=False, doc="waiting, delivered or failed"),
    Column("tries_left", sa.Integer, nullable=False, doc="how often it is tried yet"),
    Column("attempts", Json, nullable=False, doc="when it was tried, and what was answered"),
    moment("next_at", nullable=True, doc="when it is due"),
    moment("created_at"),
    # What is due of anybody, and of each webhook; its list; what is old enough to be forgotten.
    Index(None, "next_at"),
    Index(None, "webhook_id", "next_at"),
    Index(None, "webhook_id", "created_at"),
    Index(None, "created_at"),
)
"""What one webhook is told once: written with the change that it tells of. While it waits it is due at `next_at`; who
sends it sets that ahead first, so that it is due again where they die before they have noted how it went."""
