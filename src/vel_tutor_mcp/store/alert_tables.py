"""The tables of alerts."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, text

from vel_tutor_mcp.models import LONGEST_NAME
from vel_tutor_mcp.store.columns import Id, moment, row_id
from vel_tutor_mcp.store.people_tables import metadata

alerts = Table(
    "alerts",
    metadata,
    row_id(),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("owner_id", Id, ForeignKey("users.id")),
    Column("kind", sa.String(20), nullable=False),
    Column("subject", sa.String(300), nullable=False, doc="of what, as the code names it"),
    Column("severity", sa.String(10), nullable=False, doc="warning or critical"),
    Column("about", sa.String(300), nullable=False, doc="of what, for people"),
    Column("message", sa.Text, nullable=False),
    Column("value", sa.Float, nullable=False, doc="what was measured"),
    Column("threshold", sa.Float, nullable=False, doc="what it should not pass"),
    moment("opened_at", doc="when it was found"),
    moment("updated_at"),
    moment("wrong_at", doc="when it was last found not to be well again"),
    moment("closed_at", nullable=True, doc="when it was well again"),
    moment("acknowledged_at", nullable=True, doc="when somebody had seen it"),
    Column("acknowledged_by", sa.String(LONGEST_NAME), doc="who"),
    Index(
        "uq_alerts_open",
        "organisation_id",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index(None, "organisation_id", "opened_at"),
    # What is open, of all organisations, and what was closed so long ago that it is forgotten.
    Index(None, "closed_at"),
)
"""What is wrong, or was. Of one kind and subject one is open at most. Nobody owns one that is about the organisation as
a whole."""

alert_looks = Table(
    "alert_looks",
    metadata,
    Column("id", sa.SmallInteger, primary_key=True, autoincrement=False, doc="1"),
    moment("at"),
)
"""The one row says when calls were last looked at for alerts, so that one process of the installation does it."""
