"""The prompts of tasks once more, without case and in narrow rows, for searches: see `store.task_texts`.

On PostgreSQL they are held to their organisation as all other rows are, see 0009. Tasks that an older server adds after
this have no text; a server of this version adds it within the hour.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

ID = sa.Uuid(as_uuid=False)
AT_ONCE = 1000
SAME = ("organisation_id", "owner_id", "created_at")


def upgrade() -> None:
    op.create_table(
        "task_texts",
        sa.Column("organisation_id", ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("text", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_task_texts_organisation_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_task_texts_task_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_task_texts_owner_id")),
        sa.PrimaryKeyConstraint("organisation_id", "created_at", "task_id", name=op.f("pk_task_texts")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE POLICY organisation ON task_texts "
            "USING (organisation_id = (SELECT acting_organisation()) OR (SELECT acts_for_all()))"
        )
        op.execute("ALTER TABLE task_texts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    _fill(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ANALYZE task_texts")  # it does so by itself, a minute later


def downgrade() -> None:
    op.drop_table("task_texts")


def _fill(connection: sa.Connection) -> None:
    """With the texts of the tasks there are, folded in Python: databases know less of letters."""
    tasks, texts = (
        sa.table(
            table,
            sa.column(id_of_task, ID),
            sa.column("organisation_id", ID),
            sa.column("owner_id", ID),
            sa.column("created_at", sa.DateTime(timezone=True)),
            sa.column(text, sa.Text()),
        )
        for table, id_of_task, text in (("tasks", "id", "prompt"), ("task_texts", "task_id", "text"))
    )
    query = sa.select(tasks).order_by(tasks.c.id).limit(AT_ONCE)
    found = connection.execute(query).mappings().all()
    while found:
        rows = [
            {name: task[name] for name in SAME} | {"task_id": task["id"], "text": task["prompt"].casefold()}
            for task in found
        ]
        connection.execute(texts.insert(), rows)
        found = connection.execute(query.where(tasks.c.id > found[-1]["id"])).mappings().all()
