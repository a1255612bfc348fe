"""Tasks a second by 1, 2 and 4 workers on PostgreSQL, against one worker; of short answers, and of long ones.

They are submitted through a server that runs none itself, as fast as it takes them, while the workers run them: the
time is from the first submission to the end of the last answer. Which limit is reached is told beside it: how many of
the workers' places were taken by answers under way, how often somebody waited for the one writer's lock, and how many
CPUs the server and the workers had of those that there are.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from databases import POSTGRESQL, databases
from measure import CONTROL, OURS, THEIRS, Measuring, Result, against, fewer, in_turn, unmeasured
from stdio import OURS as SERVER
from stdio import StdioServer, Worker, cpu_seconds, environment
from upstream import Upstream, upstream

ROUNDS = 4
WORKERS = (2, 4)
PLACES = 8
# How long an answer takes, in seconds, and how many tasks are a round.
ROUND_OF = {0.2: 120, 2.0: 64}
WORDS = 20

_LOOK_EVERY_SECONDS = 0.02
_WAITERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one round; shares from 0 to 1."""

    per_second: float
    places: float
    waited: float
    cpus: float | None


@dataclass(slots=True)
class Looks:
    """How often somebody waited for the lock when it was looked at."""

    waited: int = 0
    all: int = 0

    @property
    def share(self) -> float:
        return self.waited / max(1, self.all)


async def results(share: float) -> list[Result]:
    with databases() as urls:
        url = urls.get(POSTGRESQL)
        if url is None:
            return [unmeasured("workers", "there is no PostgreSQL")]
        return [
            line for latency, tasks in ROUND_OF.items() for line in await _on(url, latency, tasks, fewer(ROUNDS, share))
        ]


async def _on(url: str, latency: float, tasks: int, rounds: int) -> list[Result]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        provider = stack.enter_context(upstream(WORDS, latency=latency))
        own = {"VEL_TUTOR_DATABASE_URL": url, "VEL_TUTOR_TASKS_IN_PROGRESS": "1000"}
        variables = environment(folder, provider.base_url, **own, VEL_TUTOR_CONCURRENCY=str(PLACES))
        server = stack.enter_context(StdioServer(SERVER, variables | {"VEL_TUTOR_CONCURRENCY": "0"}))
        server.initialize()
        server.call("task_list")
        fleet = Fleet(server, provider, variables, tasks)
        one = fleet.pace_of(1)
        more = {str(count): fleet.pace_of(count) for count in WORKERS}
        taken = await in_turn({THEIRS: one, CONTROL: one, **more}, rounds=rounds, warmups=0)
    found = {1: taken[THEIRS]} | {count: taken[str(count)] for count in WORKERS}
    lines = [_compared(count, latency, taken | {OURS: found[count]}) for count in WORKERS]
    return lines + [line for count, paces in found.items() for line in _limits(count, latency, paces)]


def _compared(count: int, latency: float, taken: dict[str, list[Pace]]) -> Result:
    name = f"{count} workers, answers of {latency:g} s, on {POSTGRESQL} / 1 worker"
    return against(name, taken, lambda pace: pace.per_second, unit="tasks/s")


def _limits(count: int, latency: float, taken: list[Pace]) -> list[Result]:
    what = f"{count} worker{'s' if count > 1 else ''}, answers of {latency:g} s"
    cpus = [pace.cpus for pace in taken if pace.cpus is not None]
    return [
        Result(name=f"{what}: places taken", unit="%", ours=median(pace.places for pace in taken) * 100),
        Result(name=f"{what}: somebody waits for the lock", unit="%", ours=median(pace.waited for pace in taken) * 100),
        Result(name=f"{what}: CPUs had", unit="CPUs", ours=median(cpus))
        if cpus
        else unmeasured(f"{what}: CPUs had", "this system does not tell another process's CPU time"),
    ]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A server that takes tasks, the provider they go to, and what its workers are told."""

    server: StdioServer
    provider: Upstream
    variables: dict[str, str]
    tasks: int

    def pace_of(self, count: int) -> Measuring[Pace]:
        async def measure() -> Pace:
            with ExitStack() as stack:
                workers = [stack.enter_context(Worker(self.variables)) for _ in range(count)]
                for worker in workers:
                    worker.await_ready()
                return self._pace([worker.pid for worker in workers])

        return measure

    def _pace(self, workers: list[int]) -> Pace:
        processes = [self.server.pid, *workers]
        self.provider.seconds()
        with _looking(self.variables["VEL_TUTOR_DATABASE_URL"]) as looks:
            spent, begun = _cpu(processes), time.monotonic()
            self._submit()
            took = self.provider.ended(self.tasks) - begun
            now = _cpu(processes)
        places = self.provider.seconds() / took / (len(workers) * PLACES)
        cpus = None if spent is None or now is None else (now - spent) / took
        return Pace(self.tasks / took, places, looks.share, cpus)

    def _submit(self) -> None:
        for number in range(self.tasks):
            self.server.send_call("task_submit", {"prompt": f"Say something about {number}.", "wait_seconds": 0})
        for _ in range(self.tasks):
            self.server.receive_call()


def _cpu(processes: list[int]) -> float | None:
    spent = [cpu_seconds(pid) for pid in processes]
    return None if None in spent else sum(seconds or 0 for seconds in spent)


@contextmanager
def _looking(url: str) -> Iterator[Looks]:
    """Looks at the lock from outside, every now and then, in a thread."""
    import psycopg

    looks, over = Looks(), threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(_LOOK_EVERY_SECONDS):
                row = connection.execute(_WAITERS).fetchone()
                looks.waited += bool(row and row[0])
                looks.all += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()
