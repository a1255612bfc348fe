"""Alembic's entrance: the engine comes from `store.schema`, never from a file."""

from alembic import context

from vel_tutor_mcp.store.tables import metadata

connection = context.config.attributes["connection"]
# SQLite changes a column only by making its table anew.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
