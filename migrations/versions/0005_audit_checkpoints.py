"""Signed checkpoints of the audit chain; triggers refuse every change of an entry, and every removal of one that no
archived checkpoint covers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# Each guard: the table, what is done to a row of it, when that is refused (None: always), and what is said then.
ARCHIVED = "EXISTS (SELECT 1 FROM audit_checkpoints WHERE sequence >= OLD.sequence AND archive IS NOT NULL)"
SAME = "NEW.sequence = OLD.sequence AND NEW.hash = OLD.hash"
GUARDS = (
    ("audit_logs", "UPDATE", None, "audit entries are never changed"),
    ("audit_logs", "DELETE", f"NOT {ARCHIVED}", "audit entries are kept until they are archived"),
    ("audit_checkpoints", "UPDATE", f"OLD.archive IS NOT NULL OR NOT ({SAME})", "checkpoints are never changed"),
    ("audit_checkpoints", "DELETE", None, "checkpoints are kept"),
)
TABLES = ("audit_logs", "audit_checkpoints")


def upgrade() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.Column("archive", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_checkpoints")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_on_sqlite()
    else:
        _guard_on_postgresql()


def _guard_on_sqlite() -> None:
    for table, done, refused_when, said in GUARDS:
        _refuse_on_sqlite(table, done, refused_when, said)
    for table in TABLES:
        # INSERT OR REPLACE would remove a row without firing what guards against DELETE.
        there = f"NEW.sequence IN (SELECT sequence FROM {table})"  # noqa: S608 - the names stand above
        _refuse_on_sqlite(table, "INSERT", there, f"{table} has a row of this number")


def _refuse_on_sqlite(table: str, done: str, refused_when: str | None, said: str) -> None:
    when = f" WHEN {refused_when}" if refused_when else ""
    op.execute(
        f"CREATE TRIGGER {table}_{done.lower()} BEFORE {done} ON {table} FOR EACH ROW{when} "
        f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
    )


def _guard_on_postgresql() -> None:
    for table, done, refused_when, said in GUARDS:
        name = f"{table}_{done.lower()}"
        refusal = f"RAISE EXCEPTION '{said}' USING ERRCODE = 'restrict_violation';"
        body = f"IF {refused_when} THEN {refusal} END IF;" if refused_when else refusal
        kept = "OLD" if done == "DELETE" else "NEW"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN {kept}; END $$"
        )
        op.execute(f"CREATE TRIGGER {name} BEFORE {done} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION audit_checkpoints_delete()"
        )


def downgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        for done in ("update", "delete", "insert"):
            op.execute(f"DROP TRIGGER audit_logs_{done}")
    else:
        for done in ("update", "delete", "truncate"):
            op.execute(f"DROP TRIGGER audit_logs_{done} ON audit_logs")
    op.drop_table("audit_checkpoints")
    if bind.dialect.name == "postgresql":
        for table, done, _, _ in GUARDS:
            op.execute(f"DROP FUNCTION {table}_{done.lower()}()")
