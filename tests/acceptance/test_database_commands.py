"""`db current`, `db upgrade` and `db copy` as a person runs them, and the product on what they leave."""

import asyncio
import os
import re
import sqlite3
import sys
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from commands import run, started
from copies import dump, grow, row_count
from deployment import DATABASES
from postgresql import PostgresServer, query
from server import alone, one_sentence, serving, soon
from waits import until
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app, upgrade
from vel_tutor_mcp.models import TaskRequest
from vel_tutor_mcp.store.places import FILE_NAME, database_at
from vel_tutor_mcp.store.schema import revisions

pytestmark = pytest.mark.anyio

TASKS = 10_000 if "VEL_TEST_KILLS" in os.environ else 2_000
COPY_SECONDS = 60  # a copy of that many
NOT_CURRENT, UNFIT, USAGE, INTERRUPTED = 1, 78, 64, 130
NEWEST = revisions()[-1]
# What ends a copy and where it is written know nothing of each other: every pair is for the soak.
ENDS = (
    list(product(DATABASES, ("kill", "interrupt")))
    if "VEL_TEST_KILLS" in os.environ
    else [("sqlite", "interrupt"), ("postgresql", "kill")]
)
on_each_database = pytest.mark.parametrize("kind", DATABASES)


@pytest.fixture
def variables(kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Of a command on an empty database of the kind."""
    return {} if kind == "sqlite" else {"VEL_TUTOR_DATABASE_URL": request.getfixturevalue("postgres_url")}


def file_url(folder: Path) -> str:
    """The database that a command in the folder uses where no setting names another."""
    return f"sqlite:///{folder / 'home' / FILE_NAME}"


def with_tables(folder: Path) -> None:
    """Leave what `db upgrade` leaves, without a process of its own."""
    (folder / "home").mkdir()
    upgrade(database_at(file_url(folder)))


async def used(folder: Path, providers: Providers, tasks: int, total: int) -> None:
    """Give real tasks to the product, then add others like them."""
    async with open_app(settings_for(providers, folder / "home")) as app:
        given = [
            await app.tasks.submit(app.local_principal, TaskRequest(prompt=f"Task {number} of ünï 🦉"))
            for number in range(tasks)
        ]
        for task in given:
            await app.tasks.follow(app.local_principal, task.id, 30)
    await asyncio.to_thread(grow, file_url(folder), total)


@pytest.mark.kills
@pytest.mark.timeout(300)
async def test_thousands_of_tasks_move_to_postgresql_row_by_row_and_a_server_goes_on_there(
    tmp_path: Path, providers: Providers, postgres_url: str
) -> None:
    await used(tmp_path, providers, 24, TASKS)
    before = dump(file_url(tmp_path))
    copied = await run(tmp_path, {}, "db", "copy", "--to", postgres_url, seconds=COPY_SECONDS)
    after = dump(postgres_url)

    assert copied.code == 0, copied.stderr
    assert len(after["tasks"]) == TASKS
    assert after["audit_logs"] == before["audit_logs"]
    assert after == before == dump(file_url(tmp_path))
    assert dict(line.split("\t")[:2] for line in copied.stdout.splitlines()) == {
        name: str(len(rows)) for name, rows in before.items()
    }
    assert "VEL_TUTOR_DATABASE_URL" in copied.stderr.splitlines()[-1]

    ((task_id, prompt, output),) = query(
        postgres_url, "SELECT id::text, prompt, output FROM vel_tutor.tasks ORDER BY id LIMIT 1"
    )
    async with serving(tmp_path, alone(providers.groq) | {"VEL_TUTOR_DATABASE_URL": postgres_url}) as server:
        task = await server.call("task_get", id=task_id)
        new = await server.call("task_submit", prompt="And one more", wait_seconds=20)
    assert (task["prompt"], task["output"], task["status"]) == (prompt, output, "completed")
    assert new["status"] == "completed"


@pytest.mark.kills
async def test_unfinished_tasks_end_on_the_other_side_once_each(
    tmp_path: Path, providers: Providers, postgres_url: str
) -> None:
    groq = providers.groq
    groq.tokens_per_second = 0.2  # 13 words: much longer than a command takes
    one_at_a_time = alone(groq) | {"VEL_TUTOR_TASKS_IN_PROGRESS": "1"}
    async with serving(tmp_path, one_at_a_time) as server:
        tasks = [await server.call("task_submit", prompt=prompt, wait_seconds=0) for prompt in ("Cut", "Waiting")]
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 0))
        in_use = await run(tmp_path, {}, "db", "copy", "--to", postgres_url)
        await server.kill()
    copied = await run(tmp_path, {}, "db", "copy", "--to", postgres_url)
    groq.tokens_per_second = 1000
    async with serving(tmp_path, one_at_a_time | {"VEL_TUTOR_DATABASE_URL": postgres_url}) as server:
        ended = [await server.call("task_get", id=task["id"], wait_seconds=20) for task in tasks]

    assert (in_use.code, copied.code) == (USAGE, 0), copied.stderr
    assert re.search(r"is in use by process \d+ on \S+; ", in_use.stderr)
    assert [task["status"] for task in ended] == ["completed", "completed"]
    assert [[attempt["outcome"] for attempt in task["attempts"]] for task in ended] == [
        ["cut", "completed"],
        ["completed"],
    ]
    assert [request.prompt for request in groq.requests] == ["Cut", "Cut", "Waiting"]


@pytest.mark.kills
@pytest.mark.parametrize(("kind", "how"), ENDS)
async def test_a_copy_that_is_ended_leaves_nothing_and_can_be_repeated(
    kind: str, how: str, tmp_path: Path, providers: Providers, request: pytest.FixtureRequest
) -> None:
    if how == "interrupt" and sys.platform == "win32":
        pytest.skip("Windows sends no SIGINT to one process")
    target = request.getfixturevalue("postgres_url") if kind == "postgresql" else f"sqlite:///{tmp_path / 'target.db'}"
    await used(tmp_path, providers, 4, 1000)
    async with started(tmp_path, {}, "db", "copy", "--to", target) as copying:
        await copying.says("comparing audit_logs")
        getattr(copying, how)()
        ended = await copying.ended()

    assert row_count(target) == 0
    assert ended.code != 0
    if how == "interrupt":
        assert (ended.code, ended.stdout) == (INTERRUPTED, "")
        assert ended.stderr.splitlines()[-1].startswith("Interrupted: nothing was copied")
    again = await run(tmp_path, {}, "db", "copy", "--to", target, "--json")
    assert again.json["rows"]["tasks"] == 1000
    assert dump(target) == dump(file_url(tmp_path))


@on_each_database
async def test_current_tells_how_the_database_stands_and_changes_nothing(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    empty = await run(tmp_path, variables, "db", "current")
    made = list(tmp_path.iterdir())
    upgraded = await run(tmp_path, variables, "db", "upgrade")
    again = await run(tmp_path, variables, "db", "upgrade", "--json")
    current = await run(tmp_path, variables, "db", "current")
    told = (await run(tmp_path, variables, "db", "current", "--json")).json

    assert (empty.code, made) == (NOT_CURRENT, [])
    assert "is empty" in empty.stdout
    assert (upgraded.code, current.code) == (0, 0)
    assert f"has its tables now: revision {NEWEST}." in upgraded.stdout
    assert (again.json["before"], again.json["revision"]) == (NEWEST, NEWEST)
    assert f"is current: revision {NEWEST}." in current.stdout
    assert (told["state"], told["newest"], told["rows"]["tasks"]) == ("current", NEWEST, 0)
    for url in variables.values():
        assert url.split(":")[2].split("@")[0] not in f"{current} {told}"


@pytest.mark.parametrize(
    ("revision", "state", "code", "words"),
    [
        ("9999", "newer", UNFIT, "which a newer vel-tutor-mcp made"),
        ("d3adb33f", "foreign", UNFIT, "another program's tables"),
    ],
)
async def test_current_tells_of_a_database_that_is_not_this_version_s(
    revision: str, state: str, code: int, words: str, tmp_path: Path
) -> None:
    with_tables(tmp_path)
    with closing(sqlite3.connect(tmp_path / "home" / FILE_NAME)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
    plain = await run(tmp_path, {}, "db", "current")
    as_data = await run(tmp_path, {}, "db", "current", "--json")
    upgraded = await run(tmp_path, {}, "db", "upgrade")

    assert (plain.code, as_data.code, upgraded.code) == (code, code, UNFIT)
    assert (as_data.json["state"], as_data.json["revision"]) == (state, revision)
    assert words in plain.stdout
    assert words in upgraded.stderr


async def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / FILE_NAME).write_text("Dear diary, " * 100, encoding="utf-8")
    for command in (["current"], ["upgrade"], ["copy", "--to", f"sqlite:///{tmp_path / 'target.db'}"]):
        ended = await run(tmp_path, {}, "db", *command)
        assert (ended.code, ended.stdout) == (UNFIT, ""), ended
        assert one_sentence(ended.stderr.strip())


@on_each_database
async def test_upgrades_at_once_and_beside_a_running_server_all_succeed(
    tmp_path: Path, variables: dict[str, str], providers: Providers
) -> None:
    fresh = await asyncio.gather(*(run(tmp_path, variables, "db", "upgrade") for _ in range(3)))
    async with serving(tmp_path, alone(providers.groq) | variables) as server:
        beside = await run(tmp_path, variables, "db", "upgrade")
        task = await server.call("task_submit", prompt="Go on", wait_seconds=20)
        rebuilt = await run(tmp_path, variables, "db", "rebuild-usage")

    assert [ended.code for ended in (*fresh, beside, rebuilt)] == [0] * 5
    assert rebuilt.stdout.strip().endswith("hours and days was summed up anew.")
    assert beside.stdout.strip().endswith("there was nothing to do.")
    assert task["status"] == "completed"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:secret@host/name", "write --to like"),
        ("no url of secret things", "write --to like"),
        ("postgresql://me:secret@127.0.0.1:1/name", "that --to is right"),
    ],
)
async def test_a_target_that_cannot_be_used_is_told_by_the_option_without_its_password(
    url: str, words: str, tmp_path: Path
) -> None:
    with_tables(tmp_path)
    ended = await run(tmp_path, {}, "db", "copy", "--to", url)

    assert words in ended.stderr
    assert "secret" not in ended.stderr
    assert one_sentence(ended.stderr.strip())


async def test_the_password_of_a_target_may_be_where_libpq_looks_for_it(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    with_tables(tmp_path)
    bare = postgres_url.replace(f":{postgres.password}@", "@")
    ended = await run(tmp_path, {"PGPASSWORD": postgres.password}, "db", "copy", "--to", bare)

    assert ended.code == 0, ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
async def test_progress_is_one_line_of_the_terminal(tmp_path: Path, providers: Providers) -> None:
    await used(tmp_path, providers, 2, 500)
    master, slave = os.openpty()
    shown = bytearray()
    asyncio.get_running_loop().add_reader(master, lambda: shown.extend(os.read(master, 65536)))
    try:
        command = ("db", "copy", "--to", f"sqlite:///{tmp_path / 'target.db'}")
        async with started(tmp_path, {"TERM": "xterm"}, *command, stderr=slave) as copying:
            ended = await copying.ended()
        await until(lambda: b"Copied " in shown)  # a terminal hands on a moment later
    finally:
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)

    assert ended.code == 0
    assert "comparing" in shown.decode()
