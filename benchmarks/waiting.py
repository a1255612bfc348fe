"""Memory of a server beside 1,000 runs that wait for a decision; against one beside none.

A run that waits is rows and nothing else, so it should weigh nothing. Both are servers that have just been opened. What
the server that began the runs has grown by over the second half of them is told too, and one that ends them all: over
the first, a server loads what it had not needed before.
Then the same with a task beside each decision, which waits for its turn as where no process has a place for it.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from databases import NewDatabase, kinds_of_databases
from measure import Measurement, Result, compared, fewer
from memory_of import megabytes
from stdio import OURS, Json, StdioServer, environment
from upstream import upstream

ROUNDS = 3
RUNS, LEAST_RUNS = 1000, 300

_ASKED_AT_ONCE = 20
_DECISION: Json = {"id": "ok", "kind": "approval", "prompt": "Go on?"}
_TASK: Json = {"id": "work", "kind": "task", "prompt": "Say something short."}
_WITHOUT, _WITH = "waiting", "waiting-with-task"
_DEFINITIONS: dict[str, Json] = {_WITHOUT: {"steps": [_DECISION]}, _WITH: {"steps": [_DECISION, _TASK]}}


async def results(share: float) -> list[Result]:
    runs = max(LEAST_RUNS, round(RUNS * share))
    with kinds_of_databases() as kinds:
        return [line for name, new in kinds.items() for line in await _on(name, new, runs, fewer(ROUNDS, share))]


async def _on(name: str, new: NewDatabase, runs: int, rounds: int) -> list[Result]:
    with ExitStack() as stack:
        provider = stack.enter_context(upstream(words=20))

        def variables() -> Mapping[str, str]:
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
            own = {} if (url := new()) is None else {"VEL_TUTOR_DATABASE_URL": url}
            # It runs nothing: the tasks behind the runs are to wait.
            return environment(folder, provider.base_url, **own, VEL_TUTOR_CONCURRENCY="0")

        none, waiting, with_tasks = variables(), variables(), variables()
        grown = {_WITHOUT: _begin(waiting, _WITHOUT, runs), _WITH: _begin(with_tasks, _WITH, runs)}
        what = f"{runs:,} waiting runs on {name}"
        return [
            await compared(
                f"a new server beside {what} / none", _idle(waiting), _idle(none), unit="MB", rounds=rounds, warmups=1
            ),
            await compared(
                f"a new server beside {what} with a pending task each / none",
                _idle(with_tasks),
                _idle(none),
                unit="MB",
                rounds=rounds,
                warmups=1,
            ),
            Result(
                name=f"the server that began {what} has grown by, in the second half", unit="MB", ours=grown[_WITHOUT]
            ),
            Result(name="the same, with a pending task each", unit="MB", ours=grown[_WITH]),
            Result(
                name=f"a server that cancels {what} with a pending task each has grown by, in the second half",
                unit="MB",
                ours=_end(with_tasks),
            ),
        ]


def _idle(variables: Mapping[str, str]) -> Measurement:
    async def measure() -> float:
        with StdioServer(OURS, variables) as server:
            server.initialize()
            server.call("workflow_get")
            server.call("task_list")
            return megabytes(server.pid)

    return measure


def _begin(variables: Mapping[str, str], workflow: str, runs: int) -> float:
    """Begin so many runs in a server of their own; returns by how many megabytes the second half made it grow."""
    with StdioServer(OURS, variables) as server:
        server.initialize()
        server.call("workflow_save", name=workflow, definition=_DEFINITIONS[workflow])
        first = runs // 2
        _ask(server, workflow, first)
        before = megabytes(server.pid)
        _ask(server, workflow, runs - first)
        return megabytes(server.pid) - before


def _end(variables: Mapping[str, str]) -> float:
    """Cancel all runs in a new server; returns by how many megabytes the second half made it grow."""
    with StdioServer(OURS, variables) as server:
        server.initialize()
        found: list[str] = []
        cursor: str | None = None
        while not found or cursor:
            page = server.call("workflow_get", limit=100, **({"cursor": cursor} if cursor else {}))["structuredContent"]
            found += [run["id"] for run in page["runs"]]
            cursor = page["next_cursor"]
        first = len(found) // 2
        _cancel(server, found[:first])
        before = megabytes(server.pid)
        _cancel(server, found[first:])
        return megabytes(server.pid) - before


def _cancel(server: StdioServer, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        server.call("task_cancel", id=run_id)


def _ask(server: StdioServer, workflow: str, runs: int) -> None:
    sent = {"workflow": workflow, "wait_seconds": 0}
    for _ in range(_ASKED_AT_ONCE):
        server.send_call("workflow_run", sent)
    for answered in range(runs):
        run = server.receive_call()["structuredContent"]
        assert run["status"] == "awaiting_approval", run
        if answered < runs - _ASKED_AT_ONCE:
            server.send_call("workflow_run", sent)
