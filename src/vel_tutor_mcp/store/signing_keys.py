"""The keys that sign tokens. The public half is a row, for every process verifies with it; the private half is a file
that only its owner reads, and never leaves the machine: who has a copy of the database cannot sign.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from vel_tutor_mcp.auth import key_files
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import signing_keys

FOLDER = "keys"
_PREFIX, _SUFFIX = "signing-", ".pem"


async def add(tx: Transaction, key_id: str, public: bytes, at: datetime, good_until: datetime) -> None:
    row = {"id": key_id, "public": public, "created_at": at, "good_until": good_until}
    await tx.execute(signing_keys.insert(), row)


async def keep_until(tx: Transaction, key_id: str, moment: datetime) -> None:
    """The key is needed at least until then: it has signed what is good so long."""
    later = sa.and_(signing_keys.c.id == key_id, signing_keys.c.good_until < moment)
    await tx.execute(signing_keys.update().where(later).values(good_until=moment))


async def public(tx: Transaction, key_id: str) -> bytes | None:
    found: bytes | None = await tx.scalar(sa.select(signing_keys.c.public).where(signing_keys.c.id == key_id))
    return found


async def newest_since(tx: Transaction, key_ids: Iterable[str], moment: datetime) -> tuple[str, datetime] | None:
    """Of these keys the newest that is younger than `moment`, and when it was made."""
    these = sa.and_(signing_keys.c.id.in_(list(key_ids)), signing_keys.c.created_at > moment)
    query = sa.select(signing_keys.c.id, signing_keys.c.created_at).where(these)
    row = (await tx.execute(query.order_by(signing_keys.c.created_at.desc()).limit(1))).one_or_none()
    return None if row is None else (row.id, row.created_at)


async def forget_expired(tx: Transaction, at: datetime) -> None:
    """Take away the keys that verify nothing any more."""
    await tx.execute(signing_keys.delete().where(signing_keys.c.good_until <= at))


def files(home: Path) -> dict[str, Path]:
    """The private halves that this home has, by the ids of their keys."""
    found = (home / FOLDER).glob(f"{_PREFIX}*{_SUFFIX}")
    return {path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX): path for path in found}


def write(home: Path, key_id: str, pem: bytes) -> None:
    """Keep the private half where only this user reads it. Blocks.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    folder = home / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_files.write(folder / f"{_PREFIX}{key_id}{_SUFFIX}", pem)
    except OSError as problem:
        raise ConfigurationError(
            f"The folder {folder} cannot be written; {problem.strerror}; it keeps the keys that sign tokens: make it "
            "writable, or choose another one with VEL_TUTOR_HOME."
        ) from None


def remove(home: Path, key_id: str) -> None:
    """Take the private half away: the key signs no more. Blocks."""
    with suppress(OSError):
        (home / FOLDER / f"{_PREFIX}{key_id}{_SUFFIX}").unlink()
