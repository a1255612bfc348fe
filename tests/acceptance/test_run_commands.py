"""Runs from the shell: looking at them, and a person's decisions."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import run
from processes import HEEDING_CTRL_C
from server import alone, environment, one_sentence, serving, soon
from world import Providers

pytestmark = pytest.mark.anyio

TRY_AGAIN, USAGE, NOT_FOUND, FAILED = 75, 64, 66, 69

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is a POSIX thing")


async def waiting(folder: Path, variables: dict[str, str], **more: Any) -> str:
    """The id of a run that waits for an approval; its server has left."""
    steps = [
        {"id": "draft", "kind": "task", "prompt": "Draft it"},
        {"id": "ok", "kind": "approval", "needs": ["draft"], "prompt": "Send this? {{ steps.draft.output }}"} | more,
        {"id": "send", "kind": "task", "needs": ["ok"], "prompt": "Send it, {{ steps.ok.output.comment }}"},
    ]
    async with serving(folder, variables) as server:
        await server.call("workflow_save", name="send", definition={"steps": steps})
        told = await server.call("workflow_run", workflow="send", wait_seconds=30)
    assert told["status"] == "awaiting_approval"
    return str(told["id"])


async def at_terminal(folder: Path, variables: dict[str, str], typed: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it showed on a terminal at which somebody types."""
    import pty

    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *HEEDING_CTRL_C,
        *arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment(folder, variables) | {"TERM": "dumb"},
    )
    os.close(theirs)
    os.write(ours, f"{typed}\n".encode())
    shown = await asyncio.to_thread(_all_of, ours)
    return await soon(process.wait()), shown


def _all_of(terminal: int) -> str:
    shown = bytearray()
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # so a pseudo-terminal says that nobody is at its other side
        pass
    os.close(terminal)
    return shown.decode(errors="replace")


async def test_a_run_is_listed_shown_decided_and_ends(tmp_path: Path, providers: Providers) -> None:
    variables = alone(providers.groq)
    run_id = await waiting(tmp_path, variables)

    listed = await run(tmp_path, variables, "run", "list", "--status", "awaiting_approval")
    assert listed.stdout.split("\t")[:3] == [run_id, "awaiting_approval", "send"]
    shown = await run(tmp_path, variables, "run", "get", run_id)
    assert shown.code == TRY_AGAIN
    assert [line.split("\t")[:2] for line in shown.stdout.splitlines()] == [
        ["draft", "completed"],
        ["ok", "awaiting_approval"],
        ["send", "waiting"],
    ]
    assert "ok asks: Send this? [simulated groq/" in shown.stderr
    assert f"run decide {run_id} ok --approve" in shown.stderr

    decided = await run(tmp_path, variables, "run", "decide", run_id, "ok", "--approve", "--comment", "gladly")
    assert (decided.code, decided.stdout) == (0, "")
    assert decided.stderr.startswith("Approved ok. The run is in_progress; ")
    ended = await run(tmp_path, variables, "run", "get", run_id, "--wait", "30")
    assert (ended.code, ended.stdout.startswith("[simulated groq/")) == (0, True)
    assert providers.groq.requests[-1].prompt == "Send it, gladly"

    again = await run(tmp_path, variables, "run", "decide", run_id, "ok", "--reject")
    assert again.code == USAGE
    assert "was approved already, by " in again.stderr
    whole = await run(tmp_path, variables, "run", "get", run_id, "--json")
    assert [step["status"] for step in whole.json["steps"]] == ["completed"] * 3


async def test_a_rejected_run_ends_its_command_with_a_code_of_its_own(tmp_path: Path, providers: Providers) -> None:
    variables = alone(providers.groq)
    run_id = await waiting(tmp_path, variables)
    await run(tmp_path, variables, "run", "decide", run_id, "ok", "--reject")
    ended = await run(tmp_path, variables, "run", "get", run_id)
    assert ended.code != 0
    assert "Step ok: It was rejected by " in ended.stderr


async def test_what_wants_a_persons_own_word_is_not_decided_by_a_pipe(tmp_path: Path, providers: Providers) -> None:
    variables = alone(providers.groq)
    run_id = await waiting(tmp_path, variables, human=True)
    for options in (["--approve"], []):
        refused = await run(tmp_path, variables, "run", "decide", run_id, "ok", *options, stdin=b"y\ny\n")
        (line,) = refused.stderr.splitlines()
        assert (refused.code, one_sentence(line)) == (USAGE, True)
        assert "Nothing was decided; " in line
    assert (await run(tmp_path, variables, "run", "get", run_id, "--json")).json["status"] == "awaiting_approval"


@posix_only
async def test_a_person_decides_on_the_terminal(tmp_path: Path, providers: Providers) -> None:
    variables = alone(providers.groq)
    run_id = await waiting(tmp_path, variables, human=True)

    code, shown = await at_terminal(tmp_path, variables, "n", "run", "decide", run_id, "ok", "--approve")
    assert (code, "you did not confirm it" in shown) == (USAGE, True)
    code, shown = await at_terminal(tmp_path, variables, "y", "run", "decide", run_id, "ok")
    assert code == 0
    assert "Send this? [simulated groq/" in shown
    assert "Approved ok." in shown
    (decided,) = (
        step["output"]
        for step in (await run(tmp_path, variables, "run", "get", run_id, "--json")).json["steps"]
        if step["id"] == "ok"
    )
    assert decided["how"] == "terminal"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("get", "0b6f8f3e-0000-4000-8000-000000000000"), NOT_FOUND, "There is no such run; "),
        (("decide", "nothing", "ok", "--approve"), NOT_FOUND, "There is no such run; "),
        (("list", "--workflow", "nobody"), NOT_FOUND, "There is no such workflow; "),
    ],
)
async def test_what_is_not_there_is_said_in_a_sentence(
    tmp_path: Path, providers: Providers, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = await run(tmp_path, alone(providers.groq), "run", *arguments)
    assert ended.code == code
    (line,) = ended.stderr.splitlines()
    assert said in line
