"""The official conformance suite finds nothing to complain of in our server, in either protocol era."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import conformance
import pytest
from conformance import REVISIONS, Run, asked
from conformance_tasks import vendor
from processes import COMMAND
from server import alone, serving, soon

# The first of all may have to fetch the programs of npm.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
WITH_FIXTURES = (sys.executable, str(Path(conformance.__file__).with_name("conformance_server.py")))
# Of the Tasks extension, which no revision requires; of its notifications the suite checks nothing yet.
TASKS = {
    "tasks-capability-negotiation", "tasks-dispatch-and-envelope", "tasks-lifecycle", "tasks-mrtr-composition",
    "tasks-mrtr-input", "tasks-request-headers", "tasks-request-state-removal", "tasks-required-task-error",
    "tasks-wire-fields",
}  # fmt: skip
HEAD = f"| scenario | {' | '.join(REVISIONS)} |\n|---|---|---|\n"
# What the suite asks for under names of its own is not on the product itself.
WITHOUT_NAMES = {
    "caching", "dns-rebinding-protection", "http-header-validation", "input-required-result-unsupported-methods",
    "ping", "prompts-list", "resources-list", "sep-2164-resource-not-found", "server-initialize",
    "server-session-lifecycle", "server-sse-multiple-streams", "tools-list",
}  # fmt: skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def runs(folder: Path, node: Path, command: Sequence[str]) -> list[Run]:
    """Both revisions at once, on one server."""
    async with vendor() as groq, serving(folder, alone(groq), command=command, transport="http") as server:
        await server.call("agent_list")  # it is open
        url = await soon(server.address())
        return await asyncio.gather(*(asked(url, revision, node, folder / revision) for revision in REVISIONS))


def table(found: Sequence[Run]) -> str:
    """A row for each scenario, with its word for each revision."""
    names = dict.fromkeys(name for run in found for name in sorted(run.words))
    return HEAD + "".join(f"| `{name}` | {' | '.join(cell(run, name) for run in found)} |\n" for name in names)


def cell(run: Run, name: str) -> str:
    why = run.not_scored.get(name)
    return run.words.get(name, "") + (f" ({why})" if why else "")


async def test_every_required_scenario_passes_and_each_outcome_is_documented(node: Path, tmp_path: Path) -> None:
    found = await runs(tmp_path, node, WITH_FIXTURES)
    assert [run.complaints for run in found] == [[], []]
    assert [run.code for run in found] == [0, 0]
    required = [run.words[name] for run in found for name in run.words.keys() - run.not_scored.keys()]
    assert set(required) == {"passes"}
    assert {name: found[1].words[name] for name in TASKS} == dict.fromkeys(TASKS, "passes")
    assert [len(run.words.keys() - run.not_scored.keys()) for run in found] == [30, 37]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(HEAD)
    after = rest.partition("\n\n")[2]
    now = f"{before}{table(found)}\n{after}"
    if os.environ.get("VEL_UPDATE_CONTRACTS") == "1" and os.environ.get("CI") != "true":
        PAGE.write_text(now, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == now


if "VEL_TEST_EVERYWHERE" in os.environ:  # the same wires as above: `make soak`

    async def test_the_product_itself_passes_what_needs_no_names_of_the_suite(node: Path, tmp_path: Path) -> None:
        found = await runs(tmp_path, node, COMMAND)
        words = {name: run.words[name] for run in found for name in WITHOUT_NAMES if name in run.words}
        assert words == dict.fromkeys(WITHOUT_NAMES, "passes")
