"""The PostgreSQL that tests are given is a real one, and leaves nothing behind."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import postgresql
import psycopg
import pytest
from ports import HOST
from postgresql import PostgresServer, query

MAX_SECONDS = 60
TRUE_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")

OWNER = """
from postgresql import PostgresServer

with PostgresServer() as server:
    print(server.pid, server.port, server._folder, flush=True)
    input()
"""


def refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) != 0


def test_what_was_committed_outlives_kill(postgres: PostgresServer, postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE kept (id integer)")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO kept VALUES (2)")
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert refused(postgres.port)

    postgres.start()

    assert query(postgres_url, "SELECT id FROM kept") == [(1,)]


def test_what_was_committed_outlives_a_restart(postgres: PostgresServer, postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE kept AS SELECT 1 AS id")
    before = postgres.pid

    postgres.restart()

    assert postgres.pid != before
    assert query(postgres_url, "SELECT id FROM kept") == [(1,)]


def test_databases_do_not_see_each_other(postgres: PostgresServer, postgres_url: str) -> None:
    other = postgres.new_database()
    query(postgres_url, "CREATE TABLE mine (id integer)")

    with pytest.raises(psycopg.errors.UndefinedTable):
        query(other, "SELECT * FROM mine")

    postgres.drop(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        query(other, "SELECT 1")


def test_a_database_is_dropped_under_its_clients(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with psycopg.connect(url) as client:
        postgres.drop(url)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")


@pytest.mark.parametrize("setting", TRUE_SETTINGS)
def test_the_server_is_as_durable_as_a_true_one(postgres_url: str, setting: str) -> None:
    assert query(postgres_url, "SELECT current_setting(%s)", setting) == [("on",)]


def test_a_database_belongs_to_a_role_that_is_no_administrator(postgres_url: str) -> None:
    assert query(postgres_url, "SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user") == [
        (postgresql.TESTER, False)
    ]


def test_a_wrong_password_is_refused(postgres: PostgresServer, postgres_url: str) -> None:
    wrong = postgres_url.replace(postgres.password, "guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(wrong, "SELECT 1")


def test_text_is_kept_as_utf_8_and_sorted_by_bytes(postgres_url: str) -> None:
    assert query(postgres_url, "SELECT x FROM (VALUES ('b'), ('é'), ('B')) AS t(x) ORDER BY x") == [
        ("B",),
        ("b",),
        ("é",),
    ]


def test_nothing_of_a_server_outlives_the_process_that_has_it(postgres: PostgresServer) -> None:
    assert postgres.running  # or there is none here, and this test is skipped
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=Path(postgresql.__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout
        _, port, folder = owner.stdout.readline().split(maxsplit=2)
        assert not refused(int(port))

        owner.kill()
        owner.communicate(timeout=MAX_SECONDS)  # until the janitor too has closed its standard error

    assert refused(int(port))
    assert not Path(folder.strip()).exists()


def test_the_password_is_in_the_url(postgres: PostgresServer, postgres_url: str) -> None:
    assert urlsplit(postgres_url).password == postgres.password
