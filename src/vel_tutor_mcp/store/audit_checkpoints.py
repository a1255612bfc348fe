"""Signed checkpoints of the audit chain: which hash an entry had when it was signed, and where those up to it went."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.store.audit_chain import canonical
from vel_tutor_mcp.store.audit_tables import audit_checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`public_key` and `signature` are hexadecimal; `archive` names the file that holds the entries up to it."""

    sequence: int
    hash: str
    at: str
    public_key: str
    signature: str
    archive: str | None = None

    @property
    def claim(self) -> str:
        """What is signed."""
        facts = {"sequence": self.sequence, "hash": self.hash, "at": self.at}
        return canonical({"vel_tutor_audit_checkpoint": facts | ({"archive": self.archive} if self.archive else {})})


def of_row(row: Any) -> Checkpoint:
    return Checkpoint(**{column.name: getattr(row, column.name) for column in audit_checkpoints.c})


def every(connection: sa.Connection) -> list[Checkpoint]:
    """All of them, oldest first."""
    query = sa.select(audit_checkpoints).order_by(audit_checkpoints.c.sequence)
    return [of_row(row) for row in connection.execute(query)]


def newest(connection: sa.Connection) -> Checkpoint | None:
    query = sa.select(audit_checkpoints).order_by(audit_checkpoints.c.sequence.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return of_row(row) if row else None


def insert(connection: sa.Connection, made: Checkpoint) -> None:
    connection.execute(audit_checkpoints.insert(), asdict(made))
