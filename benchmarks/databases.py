"""The databases that tasks are measured on: a SQLite file, and the PostgreSQL of our tests where it can run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from postgresql import NoPostgresError, PostgresServer

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


@contextmanager
def databases() -> Iterator[dict[str, str | None]]:
    """The URL of an empty database of each kind that runs here; None stands for the file in a server's home."""
    server = PostgresServer()
    try:
        server.__enter__()
    except NoPostgresError as problem:
        print(f"PostgreSQL is not measured here: {problem}", file=sys.stderr)
        yield {SQLITE: None}
        return
    try:
        yield {SQLITE: None, POSTGRESQL: server.new_database()}
    finally:
        server.__exit__()
