"""The table that searches read."""

from sqlalchemy import Column, ForeignKey, Table

from vel_tutor_mcp.store.columns import Id, PlainText, Utc
from vel_tutor_mcp.store.people_tables import metadata

task_texts = Table(
    "task_texts",
    metadata,
    Column("organisation_id", Id, ForeignKey("organisations.id"), primary_key=True),
    Column("created_at", Utc, primary_key=True),
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    Column("text", PlainText, nullable=False, doc="the prompt, case-folded"),
    sqlite_with_rowid=False,
)
"""The prompts of tasks once more, without case and in rows that a search reads quickly."""
