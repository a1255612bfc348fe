"""What the dashboard's lists answer over HTTP beside 100,000 tasks of a team, without tokens: how long each takes, and
the server's own CPU for it.
"""

import json
import time
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import seeding
from databases import NewDatabase, kinds_of_databases
from measure import Result, fewer
from over_http import SERVE, Connection, ask, connected, request, serving
from stdio import cpu_seconds, environment

from vel_tutor_mcp.settings import Settings

CALLS, WARMUPS = 60, 3
LIMIT_MILLISECONDS = 200.0

PATHS = (
    "/api/tasks",
    "/api/tasks?limit=100&offset=50000",
    "/api/tasks?status=failed&offset=2000",
    "/api/tasks?agent_id=writer",
    "/api/tasks?provider=groq&offset=50000",
    "/api/tasks?model=openai/gpt-5-mini&task_type=creative",
    "/api/tasks?since={yesterday}",
    "/api/tasks?query=invoices",
    "/api/tasks?query=the&offset=50000",
    "/api/tasks?query=nowhere+at+all",
    "/api/tasks?query=lunch&provider=openai&status=completed",
    "/api/tasks/{task}",
    "/api/runs",
    "/api/approvals",
    "/api/providers",
    "/api/changes",
    "/api/changes?since={stamp}",
    "/api/audit",
    "/api/audit?offset=50000",
    "/api/audit?action=provider_called",
    "/api/audit?principal=person+3",
    "/api/audit?subject=task:{task}",
    "/api/audit?since={yesterday}",
)


async def results(share: float) -> list[Result]:
    with kinds_of_databases() as kinds:
        return [line for name, new in kinds.items() for line in await _on(name, new, fewer(CALLS, share))]


async def _on(where: str, new: NewDatabase, calls: int) -> list[Result]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        url = new()
        own = {} if url is None else {"VEL_TUTOR_DATABASE_URL": url}
        variables = environment(Path(folder), "http://127.0.0.1:9/v1", **own)
        keys = {"openai_api_key": "dummy-key", "groq_api_key": "dummy-key"}
        home = Path(variables["VEL_TUTOR_HOME"])
        await seeding.fill(
            Settings.model_validate({"home": home, "database_url": url, **keys}), span=timedelta(days=30)
        )
        async with serving((*SERVE, "--no-auth"), variables) as (port, pid), connected(port) as connection:
            known = await _known(connection)
            return [
                line
                for path in PATHS
                for line in await _asked(connection, pid, f"{path} on {where}", path.format(**known), calls)
            ]


async def _known(connection: Connection) -> dict[str, str]:
    """What the paths name: an older task, its moment, and the stamp of now."""
    task = json.loads((await ask(connection, request("GET", "/api/tasks?limit=1&offset=3000"))).body)["data"][0]
    stamp = json.loads((await ask(connection, request("GET", "/api/changes"))).body)["stamp"]
    return {"task": task["id"], "yesterday": task["created_at"], "stamp": stamp}


async def _asked(connection: Connection, pid: int, name: str, path: str, calls: int) -> list[Result]:
    asked, took = request("GET", path), list[float]()
    for number in range(WARMUPS + calls):
        if number == WARMUPS:
            before = cpu_seconds(pid)
        begun = time.perf_counter()
        assert (await ask(connection, asked)).status == HTTPStatus.OK
        took.append((time.perf_counter() - begun) * 1000)
    after, took = cpu_seconds(pid), took[WARMUPS:]
    lines = [
        Result(name=f"{name}, p50", unit="ms", ours=median(took)),
        Result(name=f"{name}, p95", unit="ms", ours=quantiles(took, n=20)[-1], limit=LIMIT_MILLISECONDS),
    ]
    if before is not None and after is not None:
        lines.append(Result(name=f"{name}, the server's CPU", unit="ms", ours=1000 * (after - before) / calls))
    return lines
