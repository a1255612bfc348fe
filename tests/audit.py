"""A database whose trail is harmed in tests, by somebody who owns it."""

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from copies import chained, writing
from stores import unguarded

from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.audit.verdict import Verdict, of_database
from vel_tutor_mcp.store.audit import as_text
from vel_tutor_mcp.store.audit_chain import row_hash
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint, insert
from vel_tutor_mcp.store.audit_reading import rows, standing
from vel_tutor_mcp.store.audit_tables import audit_checkpoints, audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database

Result = TypeVar("Result")

ID = "917e6895-66c8-445f-b6d6-6f615c07879c"
CONTENT: dict[str, Any] = {
    "organisation_id": ID, "owner_id": ID, "at": "2026-11-23T08:00:00.000000+00:00", "principal": "jo",
    "action": "done", "subject": "task:1", "address": None, "user_agent": None,
}  # fmt: skip


def entries(count: int) -> list[dict[str, Any]]:
    return chained([CONTENT | {"payload": {"n": number}} for number in range(1, count + 1)])


def fill_anew(database: Database, count: int) -> None:
    """With so many entries, and nothing else."""
    with writing(database) as connection, unguarded(connection):
        connection.execute(audit_logs.delete())
        connection.execute(audit_checkpoints.delete())
        connection.execute(audit_logs.insert(), entries(count))


def harm(database: Database, *statements: str) -> None:
    with writing(database) as connection, unguarded(connection):
        for statement in statements:
            connection.execute(sa.text(statement))


def hash_anew(database: Database, first: int) -> None:
    """Give the entries from this one on the hashes that they should have: a forger's work."""
    there = standing(database)
    with closing(rows(database, INSTALLATION, max(1, first - 1), there.last.sequence)) as found:
        kept = list(found)
    previous = kept[0]["hash"] if first > 1 else kept[0]["previous_hash"]
    with writing(database) as connection, unguarded(connection):
        for row in kept[1:] if first > 1 else kept:
            made = row_hash(dict(row) | {"previous_hash": previous})
            connection.execute(
                audit_logs.update()
                .where(audit_logs.c.sequence == row["sequence"])
                .values(previous_hash=previous, hash=made)
            )
            previous = made


def checkpoint(database: Database, keys: Keys, sequence: int, at: datetime) -> None:
    """Sign that entry, as it was done then."""
    with closing(rows(database, INSTALLATION, sequence, sequence)) as found:
        (row,) = found
    signer = keys.signer()
    made = Checkpoint(sequence=sequence, hash=row["hash"], at=as_text(at), public_key=signer.public_key, signature="")
    with writing(database) as connection:
        insert(connection, replace(made, signature=signer.sign(made.claim)))


def signed(database: Database, keys: Keys) -> Checkpoint | None:
    return asyncio.run(_closing(database, Keeping(database, keys).sign()))


def kept(database: Database, keeping: Keeping) -> None:
    """What is due is done."""
    asyncio.run(_closing(database, keeping.once()))


async def _closing(database: Database, work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return await work
    finally:
        await database.close()


def verdict(database: Database, keys: Keys) -> Verdict:
    return of_database(database, keys.known())
