"""The tables of comparisons."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER
from vel_tutor_mcp.store.columns import Id, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata

comparisons = Table(
    "comparisons",
    metadata,
    row_id(),
    *owned(),
    Column("prompt", sa.Text, nullable=False),
    Column("prompt_hash", sa.String(64), nullable=False, doc="finds what was asked before"),
    Column("agent_name", sa.String(100), nullable=False),
    Column("task_type", sa.String(30), nullable=False),
    Column("idempotency_key", sa.String(200)),
    Column("body_hash", sa.String(64), nullable=False),
    moment("created_at"),
    moment("updated_at", doc="when it was asked, or one of its answers rated"),
    UniqueConstraint("owner_id", "idempotency_key"),
    # By when they were made for lists, by when they changed for the stamps of `areas`.
    Index(None, "owner_id", "created_at"),
    Index(None, "organisation_id", "created_at"),
    Index(None, "owner_id", "updated_at"),
    Index(None, "organisation_id", "updated_at"),
)
"""One prompt asked of several models."""

comparison_entries = Table(
    "comparison_entries",
    metadata,
    Column("comparison_id", Id, ForeignKey("comparisons.id"), primary_key=True, doc="the comparison"),
    Column("position", sa.SmallInteger, primary_key=True, doc="its place when shown, which chance has chosen"),
    *owned(),
    Column("number", sa.SmallInteger, nullable=False, doc="its place when asked"),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False, unique=True, doc="the model's task"),
    Column("provider", sa.String(LONGEST_PROVIDER), nullable=False),
    Column("model", sa.String(LONGEST_NAME), nullable=False),
)
"""The task of each model."""
