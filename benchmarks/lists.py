"""What the dashboard's lists answer over HTTP beside 100,000 tasks of a team, without tokens: how long each takes, and
the server's own CPU for it.
"""

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import seeding
from asking import CALLS, asked
from databases import NewDatabase, kinds_of_databases
from measure import Result, fewer
from over_http import SERVE, Connection, ask, connected, request, serving
from stdio import environment

from vel_tutor_mcp.settings import Settings

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
            return await asked(connection, pid, where, PATHS, await _known(connection), calls)


async def _known(connection: Connection) -> dict[str, str]:
    """What the paths name: an older task, its moment, and the stamp of now."""
    task = json.loads((await ask(connection, request("GET", "/api/tasks?limit=1&offset=3000"))).body)["data"][0]
    stamp = json.loads((await ask(connection, request("GET", "/api/changes"))).body)["stamp"]
    return {"task": task["id"], "yesterday": task["created_at"], "stamp": stamp}
