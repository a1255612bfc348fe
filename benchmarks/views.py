"""What the dashboard's views ask for over HTTP, beside 100,000 tasks of a team, without tokens: all but the lists of
tasks, runs, approvals and the audit trail, which `lists` has. `REQUESTED_ELSEWHERE` names what is in neither.

Usage is asked for over a month, and with all tasks in one day. It is rolled up as a server does it in the background,
which is measured too.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import beside
import compared
import seeding
from asking import CALLS, asked
from databases import NewDatabase, kinds_of_databases
from measure import Result, fewer
from over_http import SERVE, Connection, ask, connected, request, serving
from stdio import environment

from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.places import database_of

USAGE = (
    "/api/usage?period=day&group_by=provider",
    "/api/usage?period=month&group_by=model",
    "/api/usage?period=month&group_by=user",
    "/api/usage?period=quarter&group_by=task_type",
    "/api/usage/series?period=day&group_by=model",
    "/api/usage/series?period=month&group_by=model",
    "/api/usage/series?period=month&group_by=user&agent=writer",
    "/api/usage/export?period=month&group_by=agent&format=csv",
    "/api/budgets",
)
BESIDE = (
    "/api/users/me",
    "/api/agents?limit=100",
    "/api/runs/{run}",
    "/api/comparisons?limit=20&offset=0",
    "/api/comparisons?limit=20&offset=1000",
    "/api/comparisons/{comparison}",
    "/api/comparisons/standings",
    "/api/alerts?state=open&limit=100",
    "/api/alerts?state=closed&limit=20&offset=500",
    "/api/webhooks",
    "/api/webhooks/{webhook}",
    "/api/webhooks/{webhook}/deliveries?limit=20&offset=5000",
)
SPANS: Mapping[str, tuple[timedelta, Sequence[str]]] = {
    "a month": (timedelta(days=30), (*USAGE, *BESIDE)),
    "a day": (timedelta(days=1), USAGE),
}
# No view waits for these: they are files, whose first bytes come at once, and what a click begins.
REQUESTED_ELSEWHERE = {
    "/api/tasks/export": "a file, page by page as the list that `lists` asks for",
    "/api/audit/export": "a file; `audit` proves 100,000 entries of one",
    "/api/audit/verify": "`audit`, of 100,000 entries",
}


async def results(share: float) -> list[Result]:
    with kinds_of_databases() as kinds:
        return [
            line
            for name, new in kinds.items()
            for during, (span, paths) in SPANS.items()
            for line in await _on(f"{name}, {seeding.TASKS:,} tasks in {during}", new, span, paths, fewer(CALLS, share))
        ]


async def _on(where: str, new: NewDatabase, span: timedelta, paths: Sequence[str], calls: int) -> list[Result]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        url = new()
        own = {} if url is None else {"VEL_TUTOR_DATABASE_URL": url}
        variables = environment(Path(folder), "http://127.0.0.1:9/v1", **own)
        home = Path(variables["VEL_TUTOR_HOME"])
        keys = {"openai_api_key": "dummy-key", "groq_api_key": "dummy-key"}
        settings = Settings.model_validate({"home": home, "database_url": url, **keys})
        known = await beside.fill(settings)
        begun = time.perf_counter()
        await seeding.fill(settings, span=span, trail=False)
        await compared.fill(settings)
        filled = Result(name=f"filling the tables on {where}", unit="s", ours=time.perf_counter() - begun)
        rolled_up = await _rolled_up(where, settings)
        async with serving((*SERVE, "--no-auth"), variables) as (port, pid), connected(port) as connection:
            known |= {"comparison": await _comparison(connection)}
            return [filled, rolled_up, *await asked(connection, pid, where, paths, known, calls)]


async def _comparison(connection: Connection) -> str:
    listed = await ask(connection, request("GET", "/api/comparisons?limit=1&offset=700"))
    found: str = json.loads(listed.body)["data"][0]["id"]
    return found


async def _rolled_up(where: str, settings: Settings) -> Result:
    database = database_of(settings)
    try:
        begun = time.perf_counter()
        await Rollups(database).once()
        return Result(name=f"rolling up on {where}", unit="s", ours=time.perf_counter() - begun)
    finally:
        await database.close()
