"""Schemathesis sends what the OpenAPI document allows, and what it does not, as each role: nothing breaks, and every
answer is a documented one.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from stores import DATABASES, NewDatabase
from team import Team, team

from vel_tutor_mcp.models import Role

pytestmark = pytest.mark.anyio

ROLES: tuple[Role, ...] = get_args(Role)
# Generated requests of each operation; `make soak` sends many more, and those at every bound of the schemas.
EXAMPLES = int(os.environ.get("VEL_TEST_EXAMPLES", "2"))
IS_SHORT = EXAMPLES < 10
PHASES = "examples,fuzzing" if IS_SHORT else "examples,coverage,fuzzing"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SECONDS = 300 if IS_SHORT else 3000


# In `make test` who may do most and who least, each on one database.
PLACES = [("sqlite", "viewer"), ("postgresql", "admin")] if IS_SHORT else list(product(DATABASES, ROLES))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Team]:
    async with team(tmp_path_factory.mktemp("openapi"), new_database) as made:
        yield made


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(("new_database", "role"), PLACES, indirect=["new_database"], scope="module")
async def test_no_request_breaks_the_server_or_is_answered_in_a_way_that_is_not_documented(
    place: Team, role: Role, tmp_path: Path
) -> None:
    async with place.member(role) as member:
        document = tmp_path / "openapi.json"
        document.write_bytes((await member.http.get("/api/openapi.json")).content)
        command = (
            sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", place.base,
            "--header", f"Authorization: {member.http.headers['authorization']}",
            "--exclude-path", "/api/auth/logout",  # which would end the sign-in
            "--checks", CHECKS, "--phases", PHASES, "--max-examples", str(EXAMPLES),
            "--seed", "1", "--continue-on-failure", "--no-color", "--generation-database", "none",
            "--request-timeout", "60",
        )  # fmt: skip
        run = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told, _ = await asyncio.wait_for(run.communicate(), SECONDS)
    assert run.returncode == 0, told.decode()[-6000:]
