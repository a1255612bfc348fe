"""The tables of roll-ups: sums of attempts that ended in an hour or a day. They hold nothing that the attempts do not.

`store.rollups` writes them, `store.usage` reads them.
"""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table

from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER
from vel_tutor_mcp.store.columns import Id, Json, Sequence, Utc, moment
from vel_tutor_mcp.store.people_tables import metadata

# What a row sums up is in the columns that are not empty, which its `kind` tells: see `usage_sums.Kind`.
usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("kind", sa.String(10), nullable=False),
    Column("step", sa.String(10), nullable=False),
    moment("at"),
    Column("owner_id", Id, ForeignKey("users.id")),
    Column("agent", sa.String(100)),
    Column("provider", sa.String(LONGEST_PROVIDER)),
    Column("model", sa.String(LONGEST_NAME)),
    Column("task_type", sa.String(30)),
    Column("tasks", sa.Integer, nullable=False),
    Column("attempts", sa.Integer, nullable=False),
    Column("completed", sa.Integer, nullable=False),
    Column("fallbacks", sa.Integer, nullable=False),
    Column("hedges", sa.Integer, nullable=False),
    Column("tokens_in", sa.BigInteger, nullable=False),
    Column("tokens_out", sa.BigInteger, nullable=False),
    Column("cost_nanousd", sa.BigInteger, nullable=False),
    # Of the answers alone.
    Column("answers_tokens_in", sa.BigInteger, nullable=False),
    Column("answers_tokens_out", sa.BigInteger, nullable=False),
    Column("answers_nanousd", sa.BigInteger, nullable=False),
    Column("latencies", Json, nullable=False),
    Index(None, "organisation_id", "kind", "step", "at", "owner_id"),
    Index(None, "step", "at"),
)

# Which hours and days are rolled up, and how many attempts they had: of the whole installation, as the loop's work is.
usage_rolled = Table(
    "usage_rolled",
    metadata,
    Column("step", sa.String(10), primary_key=True),
    Column("at", Utc, primary_key=True),
    Column("attempts", sa.Integer, nullable=False),
)
