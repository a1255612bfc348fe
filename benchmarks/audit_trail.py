"""What the audit chain costs: appends of eight processes at once, and proving 100,000 entries.

Ours appends to the chain, theirs writes the same rows in the same transactions without one (`appender.py`). Ours proves
the chain in the database, theirs only reads the same rows; and ours proves an export of it.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import appender
from databases import kinds_of_databases
from measure import Measuring, Result, against, alone, both_in_turn, fewer

from vel_tutor_mcp.app import upgrade
from vel_tutor_mcp.services.audit.export import json_lines, sealed, write_lines
from vel_tutor_mcp.services.audit.files import of_file
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.audit.lines import Header, Part
from vel_tutor_mcp.services.audit.verdict import of_database
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.audit_chain import GENESIS, canonical, row_hash
from vel_tutor_mcp.store.audit_reading import rows, standing
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of

WRITERS, APPENDS = 8, 50
ENTRIES = 100_000
ROUNDS, PROOFS = 9, 5

_BATCH = 5_000


async def results(share: float) -> list[Result]:
    lines = []
    with kinds_of_databases() as kinds:
        for name, new in kinds.items():
            with ExitStack() as stack:
                home = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
                place = Settings.model_validate({"home": home, "database_url": new()})
                database = database_of(place)
                await asyncio.to_thread(upgrade, database)
                lines.append(await _appends(name, place, database, fewer(ROUNDS, share)))
                lines += await _proofs(name, place, database, fewer(PROOFS, share))
                await database.close()
    return lines


async def _appends(name: str, place: Settings, database: Database, rounds: int) -> Result:
    with database.blocking_engine(INSTALLATION).begin() as connection:
        appender.plain.create(connection)
    where = place.database_url.get_secret_value() if place.database_url else str(place.home / "vel-tutor.db")
    with _writers(where) as writers:
        taken = await both_in_turn(_paced(writers, "chained"), _paced(writers, "plain"), rounds=rounds)
    what = f"entries a second, {WRITERS} writers on {name} / without the chain"
    return against(what, taken, float, unit="1/s")


@contextmanager
def _writers(where: str) -> Iterator[list["subprocess.Popen[str]"]]:
    command = [sys.executable, appender.__file__, where]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
            )
            for _ in range(WRITERS)
        ]
        for writer in writers:
            _hear(writer, "ready")
        yield writers
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()


def _paced(writers: "list[subprocess.Popen[str]]", kind: str) -> Measuring[float]:
    async def measured() -> float:
        begun = time.perf_counter()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(f"{kind} {APPENDS}\n")
            writer.stdin.flush()
        for writer in writers:
            _hear(writer, "done")
        return WRITERS * APPENDS / (time.perf_counter() - begun)

    return measured


def _hear(writer: "subprocess.Popen[str]", word: str) -> None:
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == word


async def _proofs(name: str, place: Settings, database: Database, rounds: int) -> list[Result]:
    keys = Keys(place)
    _fill(database)
    await Keeping(database, keys).sign()
    verdict = of_database(database, keys.known())
    assert (verdict.ok, verdict.entries) == (True, ENTRIES), verdict
    file = place.home / "export.jsonl"
    _export(database, keys, file)
    assert of_file(file, keys.known()).entries == ENTRIES
    taken = await both_in_turn(
        partial(_seconds_of, lambda: of_database(database, keys.known())),
        partial(_seconds_of, lambda: [None for _ in rows(database, INSTALLATION, 1, ENTRIES)]),
        rounds=rounds,
    )
    return [
        against(f"proving {ENTRIES:,} entries on {name} / reading them", taken, float, unit="s"),
        await alone(
            f"proving an export of {ENTRIES:,} entries of {name}",
            partial(_seconds_of, lambda: of_file(file, keys.known())),
            unit="s",
            rounds=rounds,
        ),
    ]


async def _seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _fill(database: Database) -> None:
    """So many entries in all, behind those that were appended."""
    last = standing(database).last
    number, previous = last.sequence, last.hash if last.sequence else GENESIS
    content = {
        "organisation_id": appender.ID, "owner_id": appender.ID, "at": "2026-11-23T08:00:00.000000+00:00",
        "principal": "tester", "action": "provider_called", "subject": f"task:{appender.ID}",
        "payload": canonical(appender.PAYLOAD), "address": None, "user_agent": None,
    }  # fmt: skip
    with database.blocking_engine(INSTALLATION).begin() as connection:
        while number < ENTRIES:
            batch = []
            for _ in range(min(_BATCH, ENTRIES - number)):
                number += 1
                row = content | {"sequence": number, "previous_hash": previous}
                previous = row_hash(row) or ""
                batch.append(row | {"hash": previous})
            connection.execute(audit_logs.insert(), batch)


def _export(database: Database, keys: Keys, file: Path) -> None:
    there = standing(database)
    lines = json_lines(rows(database, INSTALLATION, 1, ENTRIES), Header(Part.WHOLE, 1), there.checkpoints)
    with file.open("w", encoding="utf-8") as stream:
        write_lines(sealed(lines, keys.signer(), "now"), stream.write)
