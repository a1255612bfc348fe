"""Row-level security on PostgreSQL: a transaction sees and writes the rows of the organisation that it says it is for.

It says so in the setting `vel_tutor.organisation`: an organisation's id, or `installation` for those of all. Processes
of the version before say nothing, and so would see nothing: stop them first.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

ORGANISATION = "organisation_id"
# Each table of an organisation, by the column that says of which.
TABLES = {
    "organisations": "id",
    "users": ORGANISATION,
    "grants": ORGANISATION,
    "refresh_tokens": ORGANISATION,
    "authorizations": ORGANISATION,
    "allowances": ORGANISATION,
    "repeats": ORGANISATION,
    "agents": ORGANISATION,
    "agent_versions": ORGANISATION,
    "tasks": ORGANISATION,
    "idempotency_keys": ORGANISATION,
    "attempts": ORGANISATION,
    "task_events": ORGANISATION,
    "route_decisions": ORGANISATION,
    "workflows": ORGANISATION,
    "workflow_versions": ORGANISATION,
    "runs": ORGANISATION,
    "run_steps": ORGANISATION,
    "run_events": ORGANISATION,
    "ratings": ORGANISATION,
    "evidence": ORGANISATION,
    "budgets": ORGANISATION,
    "ledger": ORGANISATION,
    "ledger_sums": ORGANISATION,
    "integrations": ORGANISATION,
    "audit_logs": ORGANISATION,
}
SAID = "current_setting('vel_tutor.organisation', true)"
FUNCTIONS = {
    "acting_organisation()": (
        f"RETURNS uuid LANGUAGE sql STABLE AS $$ "
        f"SELECT CASE WHEN {SAID} IN ('', 'installation') THEN NULL ELSE {SAID}::uuid END $$"
    ),
    "acts_for_all()": f"RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT {SAID} = 'installation' $$",
    # The next entry follows the last one, whoever's that is; its number and hash tell nothing of it.
    "audit_head(OUT sequence bigint, OUT hash varchar)": (
        "LANGUAGE plpgsql AS $$ DECLARE said text := " + SAID + "; BEGIN "
        "PERFORM set_config('vel_tutor.organisation', 'installation', true); "
        "SELECT last.sequence, last.hash INTO sequence, hash "
        "FROM audit_logs last ORDER BY last.sequence DESC LIMIT 1; "
        "PERFORM set_config('vel_tutor.organisation', coalesce(said, ''), true); END $$"
    ),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # it has nothing of the kind
    for name, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name} {body}")
    for table, column in TABLES.items():
        # Each SELECT is done once for a statement, not for each of its rows.
        op.execute(
            f"CREATE POLICY organisation ON {table} "
            f"USING ({column} = (SELECT acting_organisation()) OR (SELECT acts_for_all()))"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY organisation ON {table}")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
