"""The databases themselves refuse to change the trail, whoever asks and with whatever statement."""

import pytest
import sqlalchemy as sa
from copies import chained, fill, writing
from sqlalchemy.exc import DBAPIError
from stores import clear

from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.places import database_of

ID = "917e6895-66c8-445f-b6d6-6f615c07879c"
CONTENT = {
    "organisation_id": ID,
    "owner_id": ID,
    "at": "then",
    "principal": "jo",
    "action": "done",
    "subject": "task:1",
}
MARKS = "UPDATE audit_checkpoints SET archive = 'audit-1-3.jsonl.gz', signature = 'again'"
ONLY = {"sqlite": "INSERT OR REPLACE INTO audit_logs SELECT * FROM audit_logs", "postgresql": "TRUNCATE audit_logs"}


@pytest.fixture
def database(stored_in: Settings) -> Database:
    """With five entries, of which three stand behind a checkpoint that is not archived yet."""
    database = database_of(stored_in)
    with writing(database) as connection:
        clear(connection)
    rows = chained([CONTENT | {"payload": {"n": number}} for number in range(5)])
    signed = {"sequence": 3, "hash": rows[2]["hash"], "at": "then", "public_key": "", "signature": "", "archive": None}
    fill(database, {"audit_logs": rows, "audit_checkpoints": [signed]})
    return database


def refused(database: Database, statement: str) -> str:
    with pytest.raises(DBAPIError) as caught, writing(database) as connection:
        connection.execute(sa.text(statement))
    return str(caught.value.orig)


def kept(database: Database) -> list[int]:
    with writing(database) as connection:
        return list(connection.execute(sa.text("SELECT sequence FROM audit_logs ORDER BY 1")).scalars())


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE audit_logs SET payload = payload WHERE sequence = 2", "audit entries are never changed"),
        ("UPDATE audit_logs SET sequence = sequence + 7", "audit entries are never changed"),
        ("DELETE FROM audit_logs WHERE sequence = 1", "audit entries are kept until they are archived"),
        ("DELETE FROM audit_logs", "audit entries are kept until they are archived"),
        ("DELETE FROM audit_checkpoints", "checkpoints are kept"),
        ("UPDATE audit_checkpoints SET sequence = 5", "checkpoints are never changed"),
        ("UPDATE audit_checkpoints SET hash = 'other'", "checkpoints are never changed"),
    ],
)
def test_what_would_change_the_trail_is_refused(database: Database, statement: str, why: str) -> None:
    assert why in refused(database, statement)
    assert kept(database) == [1, 2, 3, 4, 5]


def test_no_statement_gets_past_the_guards(database: Database) -> None:
    kind = "sqlite" if database.engine_schema is None else "postgresql"
    assert refused(database, ONLY[kind])
    assert kept(database) == [1, 2, 3, 4, 5]


def test_only_what_a_checkpoint_says_to_be_archived_may_go(database: Database) -> None:
    with writing(database) as connection:
        connection.execute(sa.text(MARKS))

    assert "until they are archived" in refused(database, "DELETE FROM audit_logs WHERE sequence <= 4")
    assert "checkpoints are never changed" in refused(database, "UPDATE audit_checkpoints SET archive = 'other'")
    with writing(database) as connection:
        connection.execute(sa.text("DELETE FROM audit_logs WHERE sequence <= 3"))
    assert kept(database) == [4, 5]
