"""One request over HTTP again and again: how long each answer takes, and the server's own CPU for it."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from statistics import median, quantiles

from measure import Result
from over_http import Connection, ask, request
from stdio import cpu_seconds

CALLS, WARMUPS = 60, 3
LIMIT_MILLISECONDS = 200.0


async def asked(
    connection: Connection, pid: int, where: str, paths: Sequence[str], known: Mapping[str, str], calls: int
) -> list[Result]:
    """Of each of the paths, in which names stand for what is known."""
    return [
        line
        for path in paths
        for line in await _of_one(connection, pid, f"{path} on {where}", path.format(**known), calls)
    ]


async def _of_one(connection: Connection, pid: int, name: str, path: str, calls: int) -> list[Result]:
    asking, took = request("GET", path), list[float]()
    for number in range(WARMUPS + calls):
        if number == WARMUPS:
            before = cpu_seconds(pid)
        begun = time.perf_counter()
        answer = await ask(connection, asking)
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status == HTTPStatus.OK, (path, answer)
    after, took = cpu_seconds(pid), took[WARMUPS:]
    lines = [
        Result(name=f"{name}, p50", unit="ms", ours=median(took)),
        Result(name=f"{name}, p95", unit="ms", ours=quantiles(took, n=20)[-1], limit=LIMIT_MILLISECONDS),
    ]
    if before is not None and after is not None:
        lines.append(Result(name=f"{name}, the server's CPU", unit="ms", ours=1000 * (after - before) / calls))
    return lines
