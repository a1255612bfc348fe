"""The code blocks of the documentation do what their page says, in its order."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from code_blocks import ALL_PAGES, BY_THEMSELVES, Block, blocks
from ports import HOST, free_port
from postgresql import ADMIN, PostgresServer
from receivers import receiving
from sandbox import sandbox
from world import Providers

from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.store import isolation, schema
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.places import database_at

PROGRAMS = ("bash", "curl", "jq", "git", "make", "openssl")  # that pages use, and nothing brings
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        "CI" not in os.environ and not all(map(shutil.which, PROGRAMS)),
        reason=f"one of {', '.join(PROGRAMS)} is not here",
    ),
]

RUN = {page: [block for block in blocks(page) if block.runs] for page in ALL_PAGES if page not in BY_THEMSELVES}
# The role and the databases that pages make.
ROLE, CHOSEN, MADE = "vel_tutor", "choose-one", ("vel_tutor", "vel_tutor_restored")
# Where pages have the reader's own database.
USERS = "postgresql://user:password@host/name"
BACKUP = "docs/how-to/backup-and-upgrade.md"


def asks_postgresql(run: list[Block]) -> bool:
    return any(block.language == "sql" or "postgresql://" in block.text for block in run)


@pytest.fixture
async def replaced() -> AsyncIterator[dict[str, str]]:
    """What stands in pages for addresses of the reader's, and what is there in their place."""
    port = free_port()
    async with receiving() as receiver, SimulatedProvider("local", models=("llama3.2",)) as local:
        yield {
            r"127\.0\.0\.1:4000": f"{HOST}:{port}",
            r"serve --transport http(?! --port)": f"serve --transport http --port {port}",
            r"http://127\.0\.0\.1:11434/v1": local.base_url,
            "/etc/": "$HOME/etc/",
            r"https://hooks\.example\.org": receiver.url,
        }


@pytest.fixture
def variables(providers: Providers) -> dict[str, str]:
    return {
        **providers.environment(),
        "VEL": f"http://{HOST}:{free_port()}",
        "EMAIL": "me@example.org",
        "VEL_TUTOR_PRIVATE_NETWORKS": HOST,  # where webhooks are received
    }


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Without the role and the databases that pages make."""
    yield postgres
    for name in MADE:
        postgres.admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    postgres.admin(f"DROP ROLE IF EXISTS {ROLE}")


@pytest.mark.parametrize("page", [page for page, run in RUN.items() if run and not asks_postgresql(run)])
async def test_the_blocks_of_a_page_do_what_it_says(
    page: str, variables: dict[str, str], replaced: dict[str, str]
) -> None:
    async with sandbox(variables, replaced) as here:
        await here.run(RUN[page])


@pytest.mark.parametrize("page", [page for page, run in RUN.items() if asks_postgresql(run)])
async def test_the_blocks_of_a_page_about_postgresql_do_what_it_says(
    page: str, variables: dict[str, str], replaced: dict[str, str], database: PostgresServer
) -> None:
    await run_with_postgresql(page, database, variables, replaced | {USERS: database.new_database()})


async def test_a_backup_by_an_administrator_is_restored_where_our_role_is_not_and_a_start_makes_it(
    variables: dict[str, str], replaced: dict[str, str], postgres: PostgresServer
) -> None:
    administrators = postgres.as_admin(postgres.new_database())
    with PostgresServer() as another:
        await run_with_postgresql(BACKUP, another, variables, replaced | {USERS: administrators})

        restored = database_at(another.as_admin("postgresql:///vel_tutor_restored"))
        await asyncio.to_thread(schema.prepare, restored, lambda: None)
        async with restored.write(INSTALLATION) as tx:
            assert (await tx.exec_driver_sql("SELECT current_user, count(*) FROM tasks")).one() == (isolation.ROLE, 1)
        await restored.close()


async def run_with_postgresql(
    page: str, server: PostgresServer, variables: dict[str, str], replaced: dict[str, str]
) -> None:
    administrator = server.as_admin("postgresql:///postgres")
    addresses = {
        r"@db\.example\.com/": f"@{HOST}:{server.port}/",
        r"\?sslmode=verify-full&sslrootcert=[^\s']*": "",
    }
    variables["PATH"] = os.pathsep.join([str(server.programs), os.environ["PATH"]])
    async with sandbox(variables, replaced | addresses, administrator) as here:
        here.keep(".pgpass", f"*:*:*:{ADMIN}:{urlsplit(administrator).password}\n*:*:*:{ROLE}:{CHOSEN}\n")
        await here.run(RUN[page])
