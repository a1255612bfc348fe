"""Two versions on one database: the newer one comes, upgrades it, and works beside the older one until that leaves.

The older one is the last of this repository's history with an older schema, so that it needs that history: only
`make soak` runs this. `tests/migration/test_upgrades.py` asks the same of what both write, with no history.
"""

import asyncio
import subprocess
import tarfile
from collections import Counter
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import pytest
from server import Server, serving, soon
from stores import DATABASES
from world import Providers

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
EACH = 6
# What of a version is run.
RUN = ("src", "tools", "resources", "prompts", "migrations")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the newest version whose migrations are the first of today's, as they are today."""
    today, folder = migrations("HEAD"), tmp_path_factory.mktemp("older")
    commits = git("rev-list", "--first-parent", "HEAD", "--", "migrations/versions").decode().split()
    found = next(commit for commit in commits if (then := migrations(commit)) == today[: len(then)] != today)
    with tarfile.open(fileobj=BytesIO(git("archive", found, *RUN))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def migrations(commit: str) -> list[str]:
    """Each with its content, in their order."""
    return git("ls-tree", "-r", commit, "migrations/versions").decode().splitlines()


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


@pytest.fixture(params=DATABASES)
def variables(request: pytest.FixtureRequest, providers: Providers) -> dict[str, str]:
    values = providers.environment() | {"VEL_TUTOR_TASKS_IN_PROGRESS": str(4 * EACH)}
    if request.param == "postgresql":
        values["VEL_TUTOR_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    return values


async def submitted(server: Server, *names: str) -> list[str]:
    tasks = [await server.call("task_submit", prompt=name, idempotency_key=name, wait_seconds=0) for name in names]
    return [task["id"] for task in tasks]


async def ended(server: Server, task_id: str) -> Counter[str]:
    """How often its calls had which outcome, once it has ended; it must have completed."""
    while True:
        task = await server.call("task_get", id=task_id, wait_seconds=20)
        if task["status"] not in {"pending", "in_progress"}:
            assert task["status"] == "completed", task
            return Counter(attempt["outcome"] for attempt in task["attempts"])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("leaves_last", ["older", "newer"])
async def test_tasks_of_both_versions_end_once_whichever_of_them_is_killed(
    tmp_path: Path, providers: Providers, older: Path, variables: dict[str, str], leaves_last: str
) -> None:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(serving(tmp_path, variables | {"PYTHONPATH": str(older)}, anew=True))
        before = await submitted(old, *(f"before {number}" for number in range(EACH)))
        await soon(asyncio.gather(*(ended(old, task) for task in before)))
        new = await stack.enter_async_context(serving(tmp_path, variables))
        await new.call("task_list")  # it is open, and the tables are its own
        providers.groq.tokens_per_second = 1
        tasks = [
            *await submitted(old, *(f"to the older {number}" for number in range(EACH))),
            *await submitted(new, *(f"to the newer {number}" for number in range(EACH))),
        ]
        await soon(providers.groq.until(lambda groq: groq.open == 2 * EACH))
        killed, left = (new, old) if leaves_last == "older" else (old, new)
        await killed.kill()
        providers.groq.tokens_per_second = 0
        outcomes = await soon(asyncio.gather(*(ended(left, task) for task in tasks)), 90)
        again = await submitted(left, "to the older 0", "to the newer 0", "before 0")
        told = [await ended(left, task) for task in before]

    assert again == [tasks[0], tasks[EACH], before[0]]
    assert [each["completed"] for each in [*outcomes, *told]] == [1] * (3 * EACH)
    assert sum(each["cut"] for each in outcomes) <= EACH
    assert len(providers.groq.requests) + len(providers.openai.requests) <= 4 * EACH
