"""A process that appends audit entries as fast as it can, as often as it is told on stdin: `chained 50` or `plain 50`.

`plain` is the same row, with the same indexes, in the same transaction, in the turn of the same writer's lock, but
without what makes a chain: no look at the last entry, no hash, no masking, no trigger.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import make_url

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.audit_chain import GENESIS, canonical
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.columns import Sequence
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.store.sqlite import SqliteDatabase

ID = "917e6895-66c8-445f-b6d6-6f615c07879c"
ME = Principal(user_id=ID, organisation_id=ID, name="tester", role="admin", address="127.0.0.1")
# What a call to a provider leaves on record.
PAYLOAD = {
    "provider": "groq", "model": "openai/gpt-oss-20b", "outcome": "completed", "failure": None, "tokens_in": 120,
    "tokens_out": 340, "cost_usd": 0.000123,
}  # fmt: skip

plain = sa.Table(
    "plain_logs",
    sa.MetaData(),
    *(
        sa.Column(column.name, Sequence if column.name == "sequence" else column.type, primary_key=column.primary_key)
        for column in audit_logs.c
    ),
    *(sa.Index(f"plain_{name}", name, "sequence") for name in ("organisation_id", "action", "subject")),
)


def database_at(where: str) -> Database:
    return PostgresDatabase(make_url(where)) if "://" in where else SqliteDatabase(Path(where))


async def append_chained(tx: Transaction) -> None:
    await audit.append(tx, ME, "provider_called", f"task:{ID}", PAYLOAD, datetime.now(UTC))


async def append_plain(tx: Transaction) -> None:
    row = {
        "organisation_id": ID, "owner_id": ID, "at": audit.as_text(datetime.now(UTC)), "principal": ME.name,
        "action": "provider_called", "subject": f"task:{ID}", "payload": canonical(PAYLOAD), "address": ME.address,
        "user_agent": None, "previous_hash": GENESIS, "hash": GENESIS,
    }  # fmt: skip
    await tx.execute(plain.insert(), row)


async def main(database: Database) -> None:
    kinds = {"chained": append_chained, "plain": append_plain}
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        kind, count = line.split()
        for _ in range(int(count)):
            async with database.write(INSTALLATION) as tx:
                await kinds[kind](tx)
        print("done", flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(database_at(sys.argv[1])))
