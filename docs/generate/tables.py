"""The page of the database's tables."""

import sys
from collections.abc import Iterator

import sqlalchemy as sa

from generate.docstrings import behind
from generate.markdown import linked, table
from vel_tutor_mcp.store.columns import MEANINGS, Utc
from vel_tutor_mcp.store.isolation import OF_NO_ORGANISATION
from vel_tutor_mcp.store.tables import metadata

_HEAD = """\
# Tables
The database of this version, the same on SQLite and on PostgreSQL, where it stands in the schema `vel_tutor`.
`migrations/` makes it; `tests/migration` proves that both say the same. On PostgreSQL an organisation's rows are
[kept apart](../deploy.md#organisations-kept-apart) by row-level security. Amounts of money are whole nano-US-dollars.
"""
_TYPES: tuple[tuple[type, str], ...] = (
    (sa.Uuid, "uuid"),
    (Utc, "time, UTC"),
    (sa.JSON, "JSON"),
    (sa.Text, "text"),
    (sa.String, "text"),
    (sa.LargeBinary, "bytes"),
    (sa.Boolean, "boolean"),
    (sa.SmallInteger, "integer, 2 bytes"),
    (sa.BigInteger, "integer, 8 bytes"),
    (sa.Integer, "integer"),
    (sa.Float, "float"),
)


def page() -> str:
    told = dict(_told())
    return "\n".join([_HEAD, *("\n".join(_of(found, told[name])) for name, found in sorted(metadata.tables.items()))])


def _told() -> Iterator[tuple[str, str]]:
    """The name of each table with what is said of it in the module that makes it."""
    for name, module in sorted(sys.modules.items()):
        if name.startswith("vel_tutor_mcp.store.") and name.endswith("tables"):
            for attribute, text in behind(module).items():
                yield getattr(module, attribute).name, text


def _of(found: sa.Table, about: str) -> Iterator[str]:
    yield f"## {found.name}"
    yield f"{linked(about)} {_whose(found)}\n"
    rows = [(f"`{row.name}`", _type(row), _key(row), row.doc or MEANINGS.get(row.name, "")) for row in found.columns]
    yield table(("column", "type", "key", "meaning"), rows)


def _whose(found: sa.Table) -> str:
    if found.name in OF_NO_ORGANISATION:
        return "Rows are the installation's."
    return "A row is the organisation itself." if found.name == "organisations" else "Rows are an organisation's."


def _type(column: sa.Column[object]) -> str:
    name = next(name for kind, name in _TYPES if isinstance(column.type, kind))
    length = getattr(column.type, "length", None)
    return f"{name}{f' of at most {length}' if length else ''}{' or nothing' if column.nullable else ''}"


def _key(column: sa.Column[object]) -> str:
    told = ["primary"] if column.primary_key else []
    return ", ".join(told + [f"of `{key.target_fullname}`" for key in column.foreign_keys])
