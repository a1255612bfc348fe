"""The tables of roll-ups: sums of attempts that ended in an hour or a day. They hold nothing that the attempts do not.

`store.rollups` writes them, `store.usage` reads them.
"""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table

from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER
from vel_tutor_mcp.store.columns import Id, Json, Sequence, Utc, moment
from vel_tutor_mcp.store.people_tables import metadata

usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("kind", sa.String(10), nullable=False, doc="calls, own_calls or owner"),
    Column("step", sa.String(10), nullable=False, doc="hour or day"),
    moment("at", doc="when the hour or day began"),
    Column("owner_id", Id, ForeignKey("users.id"), doc="where it is of one owner"),
    Column("agent", sa.String(100), doc="the agent's name"),
    Column("provider", sa.String(LONGEST_PROVIDER)),
    Column("model", sa.String(LONGEST_NAME)),
    Column("task_type", sa.String(30)),
    Column("tasks", sa.Integer, nullable=False, doc="that were first asked of it"),
    Column("attempts", sa.Integer, nullable=False, doc="calls"),
    Column("completed", sa.Integer, nullable=False, doc="that answered"),
    Column("fallbacks", sa.Integer, nullable=False, doc="after the first of a task"),
    Column("hedges", sa.Integer, nullable=False, doc="that were asked because another was late"),
    Column("tokens_in", sa.BigInteger, nullable=False),
    Column("tokens_out", sa.BigInteger, nullable=False),
    Column("cost_nanousd", sa.BigInteger, nullable=False),
    Column("answers_tokens_in", sa.BigInteger, nullable=False, doc="of the answers alone"),
    Column("answers_tokens_out", sa.BigInteger, nullable=False, doc="likewise"),
    Column("answers_nanousd", sa.BigInteger, nullable=False, doc="likewise"),
    Column("latencies", Json, nullable=False, doc="of the answers, in buckets"),
    Index(None, "organisation_id", "kind", "step", "at", "owner_id"),
    Index(None, "step", "at"),
)
"""Sums of the attempts that ended in an hour or a day. What a row sums up is in the columns that are not empty, which
its `kind` tells: see `usage_sums.Kind`."""

usage_rolled = Table(
    "usage_rolled",
    metadata,
    Column("step", sa.String(10), primary_key=True, doc="hour or day"),
    Column("at", Utc, primary_key=True, doc="when it began"),
    Column("attempts", sa.Integer, nullable=False, doc="how many it had then: others come to be rolled up anew"),
)
"""Which hours and days are rolled up."""
