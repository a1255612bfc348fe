"""The rows of the audit chain, in batches, whatever was done to them, and the pruning of what was archived. Blocks."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from vel_tutor_mcp.store.audit_chain import BEGINNING, Link, Row
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint, every
from vel_tutor_mcp.store.audit_tables import audit_checkpoints, audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database

_BATCH = 1000
_HEX_OF_ID = 32
_IDS = tuple(column.name for column in audit_logs.c if isinstance(column.type, sa.Uuid))
# As the text that is stored: one that is no id must not keep us from naming its row.
_COLUMNS = [sa.cast(column, sa.Text).label(column.name) if column.name in _IDS else column for column in audit_logs.c]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is kept at a moment: from which number, up to which entry, and every checkpoint."""

    first: int
    last: Link
    checkpoints: Sequence[Checkpoint]


def standing(database: Database) -> Standing:
    with _opened(database, INSTALLATION) as engine, database.translated(), engine.connect() as connection:
        checkpoints = every(connection)
        ends = sa.select(sa.func.min(audit_logs.c.sequence), sa.func.max(audit_logs.c.sequence))
        first, last = connection.execute(ends).one()
        if last is None:
            return Standing(1, BEGINNING, checkpoints)
        found = connection.scalar(sa.select(audit_logs.c.hash).where(audit_logs.c.sequence == last))
        return Standing(first, Link(last, str(found)), checkpoints)


def rows(
    database: Database, acts_for: str, first: int, last: int, wanted: Sequence[sa.ColumnElement[bool]] = ()
) -> Generator[Row]:
    """The rows from `first` to `last`, of an organisation or of all, for which all that is `wanted` is so.

    Each batch is a statement of its own: whoever reads slowly holds up nobody.
    """
    after, found = first - 1, True
    with _opened(database, acts_for) as engine:
        while found and after < last:
            among = audit_logs.c.sequence > after, audit_logs.c.sequence <= last
            query = sa.select(*_COLUMNS).where(*among, *wanted).order_by(audit_logs.c.sequence).limit(_BATCH)
            with database.translated(), engine.connect() as connection:
                batch = connection.execute(query).mappings().all()
            yield from map(_plain, batch)
            found = len(batch) == _BATCH
            after = batch[-1]["sequence"] if batch else last


def prune(database: Database, first: int, noted: Checkpoint) -> bool:
    """Note where the entries from `first` to the checkpoint went, and delete them; False where others did so before."""
    place = audit_checkpoints.c.sequence == noted.sequence
    with _opened(database, INSTALLATION) as engine, database.translated(), engine.connect() as connection:
        database.lock_blocking(connection)
        # Under the lock: others may have archived the same since they were read.
        kept = connection.scalar(sa.select(sa.func.min(audit_logs.c.sequence)))
        archive = connection.scalar(sa.select(audit_checkpoints.c.archive).where(place))
        if kept != first or archive is not None:
            return False
        # The note first: a trigger keeps every entry that no archived checkpoint covers.
        connection.execute(audit_checkpoints.update().where(place).values(asdict(noted)))
        connection.execute(audit_logs.delete().where(audit_logs.c.sequence <= noted.sequence))
        connection.commit()
        return True


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    plain = dict(row)
    for name in _IDS:
        text = plain[name]
        if isinstance(text, str) and len(text) == _HEX_OF_ID:  # as SQLite keeps it
            plain[name] = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return plain


@contextmanager
def _opened(database: Database, acts_for: str) -> Iterator[sa.Engine]:
    engine = database.blocking_engine(acts_for)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _read_any_bytes)
    try:
        yield engine
    finally:
        engine.dispose()


def _read_any_bytes(connection: Any, _record: Any) -> None:
    # Bytes that are no text must not keep us from naming the row that was changed so.
    connection.text_factory = lambda stored: stored.decode(errors="replace")
