"""Somebody who owns the database and changes one entry of its audit trail: in a copy, which is then verified."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vel_tutor_mcp.services.audit.verdict import Verdict

# So many entries follow the changed one: that it is found does not hang on its being the last.
_LATER = 3


def harmed(database: Path) -> "tuple[int, Verdict]":
    """The entry that was changed in the copy, and what verifying it says. Blocks."""
    from vel_tutor_mcp.services.audit.verdict import of_database
    from vel_tutor_mcp.store.sqlite import SqliteDatabase

    forged = database.with_name("forged.db")
    with closing(sqlite3.connect(database)) as true, closing(sqlite3.connect(forged)) as copy:
        true.backup(copy)
        (entry,) = copy.execute("SELECT max(sequence) - ? FROM audit_logs", (_LATER,)).fetchone()
        # Whoever owns the database can do this as well: the trigger keeps out mistakes, the chain shows intent.
        copy.execute("DROP TRIGGER audit_logs_update")
        copy.execute("UPDATE audit_logs SET principal = 'nobody' WHERE sequence = ?", (entry,))
        copy.commit()
    return entry, of_database(SqliteDatabase(forged), None)
