"""The databases that tasks are measured on: a SQLite file, and the PostgreSQL of our tests where it can run."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from postgresql import NoPostgresError, PostgresServer

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

NewDatabase = Callable[[], str | None]


@contextmanager
def kinds_of_databases() -> Iterator[dict[str, NewDatabase]]:
    """What makes an empty database of each kind that runs here, and gives its URL."""
    server = PostgresServer()
    try:
        server.__enter__()
    except NoPostgresError as problem:
        print(f"PostgreSQL is not measured here: {problem}", file=sys.stderr)
        yield {SQLITE: _in_a_home}
        return
    try:
        yield {SQLITE: _in_a_home, POSTGRESQL: server.new_database}
    finally:
        server.__exit__()


@contextmanager
def databases() -> Iterator[dict[str, str | None]]:
    """The URL of an empty database of each kind that runs here; None stands for the file in a server's home."""
    with kinds_of_databases() as kinds:
        yield {name: new() for name, new in kinds.items()}


def _in_a_home() -> None:
    """The file that a server makes in its home."""
