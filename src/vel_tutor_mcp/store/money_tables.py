"""The tables of money: what may be spent, and what was."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from vel_tutor_mcp.store.columns import Id, Utc, moment, owned, row_id
from vel_tutor_mcp.store.people_tables import metadata

budgets = Table(
    "budgets",
    metadata,
    row_id(),
    *owned(),
    Column("scope", sa.String(20), nullable=False, doc="whose: agent, user, organisation, task or run"),
    Column("subject_id", Id, nullable=False, doc="its id"),
    Column("period", sa.String(10), nullable=False),
    Column("limit_nanousd", sa.BigInteger, nullable=False, doc="the limit"),
    moment("created_at"),
    Column("kind", sa.String(10), nullable=False, server_default="hard", doc="hard: never passed; soft: warns"),
    moment("updated_at", nullable=True),
    UniqueConstraint("scope", "subject_id", "period"),
)
"""What may be spent."""

ledger = Table(
    "ledger",
    metadata,
    row_id(),
    *owned(),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False),
    Column("attempt_id", Id, ForeignKey("attempts.id"), nullable=False, unique=True, doc="the call"),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("reserved_nanousd", sa.BigInteger, nullable=False, doc="the most that it could cost"),
    Column("settled_nanousd", sa.BigInteger, doc="what it did cost; nothing while it is open"),
    moment("reserved_at", doc="when it was set aside"),
    moment("settled_at", nullable=True, doc="when it was booked"),
    Index(None, "task_id"),
    # A period of each kind of subject: see `budgets`.
    Index(None, "owner_id", "reserved_at"),
    Index(None, "agent_id", "reserved_at"),
    Index(None, "organisation_id", "reserved_at"),
)
"""Every call reserves here and settles here; what a budget has left is read from these rows and nowhere else."""

ledger_sums = Table(
    "ledger_sums",
    metadata,
    Column("scope", sa.String(20), primary_key=True, doc="as in `budgets`"),
    Column("subject_id", Id, primary_key=True, doc="as in `budgets`"),
    Column("since", Utc, primary_key=True, doc="when the period began"),
    Column("period", sa.String(10), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("settled_nanousd", sa.BigInteger, nullable=False, doc="the sum"),
    moment("through", doc="up to when"),
    # For those that a call at an earlier time makes stale.
    Index(None, "organisation_id", "through"),
)
"""What the rows of a subject's period come to up to a moment before which none is open any more, so that no call has to
add up a month. They hold nothing that the ledger does not: see `store.budgets`."""
