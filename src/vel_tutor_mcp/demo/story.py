"""What the demo shows, step by step. Each step checks what it tells, so that the demo is a test of the whole as well.

Only the models are not real: two simulated providers in this process. The client is the SDK's, the server a child
process with a database of its own.
"""

import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import MCPError

from vel_tutor_mcp.demo.forger import harmed
from vel_tutor_mcp.demo.screen import Json, NotSoError, Screen, shortened, usd
from vel_tutor_mcp.demo.stage import AGENT, LOG, WORDS_BEFORE_PAUSE, Stage, simulated
from vel_tutor_mcp.demo.workflow import approval, workflow
from vel_tutor_mcp.providers.simulated import Fault

Step = Callable[[Stage], Awaitable[None]]

_STEP_SECONDS = 30.0
_LOG_LINES_SHOWN = 5

PUZZLE = (
    "Three switches belong to three lamps in another room, which you may enter only once. Reason step by step: how do "
    "you know which switch belongs to which lamp? Prove that it always works."
)
CODE = "Write a Python function that merges two sorted lists in linear time, with a test for it."
_MINUTES = (
    "Summarise in one sentence: The meeting of Tuesday moved the release by a week, because the translation is late; "
    "marketing keeps its date, and Ana tells the customers who were promised the old one."
)
_INVOICE = "Extract the invoice's number, total and currency: Invoice 2026-118, due in 30 days, EUR 1284.50"
_INVOICE_SCHEMA: Json = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}},
    "required": ["number", "total", "currency"],
    "additionalProperties": False,
}
_TASKS: Sequence[tuple[str, str, Json]] = (
    ("reasoning", PUZZLE, {}),
    ("code_generation", CODE, {}),
    ("summarization", _MINUTES, {}),
    ("extraction", _INVOICE, {"response_schema": _INVOICE_SCHEMA}),
)


def play() -> str | None:
    """Show everything; returns what went wrong, None where nothing did."""
    return played(_tell, Screen())


def played(tell: Callable[[Screen, Path], Awaitable[None]], screen: Screen) -> str | None:
    """Tell a story in a folder that is gone afterwards; returns what went wrong, None where nothing did."""
    with tempfile.TemporaryDirectory(prefix="vel-tutor-demo-", ignore_cleanup_errors=True) as folder:
        try:
            anyio.run(tell, screen, Path(folder))
        except Exception as error:  # noqa: BLE001 - this is the door: a person reads one sentence
            return _sentence(_first(error), Path(folder) / LOG)
    return None


async def _tell(screen: Screen, folder: Path) -> None:
    begun = time.monotonic()
    screen.say("Vel Tutor, from end to end. The models are simulated: no key, no network, no money.", "bold")
    async with simulated("openai") as openai, simulated("groq") as groq:
        stage = Stage(screen, {"openai": openai, "groq": groq}, folder)
        async with stage.serving():
            await play_steps(stage, tools, agent, route, types, outage, crash)
        async with stage.serving():
            await play_steps(stage, recovery, workflow)
        async with stage.serving():
            await play_steps(stage, approval, cancel, budget, usage, audit)
    screen.gap()
    took = f"{time.monotonic() - begun:.0f} s"
    screen.say(f"All of it is so, shown in {took}. Every answer and every cost was simulated.", "bold")
    screen.say("For real work, set OPENAI_API_KEY or GROQ_API_KEY and add `vel-tutor-mcp` to your MCP client.")


async def play_steps(stage: Stage, *steps: Step, seconds: float = _STEP_SECONDS) -> None:
    for step in steps:
        stage.screen.headline((step.__doc__ or "").removesuffix("."))
        try:
            with anyio.fail_after(seconds):
                await step(stage)
        except TimeoutError:
            raise NotSoError(f"this step took more than {seconds:.0f} s") from None


async def tools(stage: Stage) -> None:
    """A real MCP client starts the real server and lists its tools."""
    listed = (await stage.client.list_tools()).tools
    stage.screen.table(
        ("tool", "what it does"), ((tool.name, shortened(tool.description or "", 76)) for tool in listed)
    )
    needed = {"task_submit", "task_get", "task_cancel", "route_explain", "agent_create"}
    stage.screen.check(
        needed <= {tool.name for tool in listed}, f"{len(listed)} tools, over protocol {stage.client.protocol_version}"
    )


async def agent(stage: Stage) -> None:
    """Create an agent: instructions, routing and limits under a name."""
    config = {"system_prompt": "Answer briefly.", "policy": "balanced", "max_output_tokens": 512}
    await stage.call("agent_create", name=AGENT, config=config)
    agents = (await stage.call("agent_list"))["agents"]
    stage.screen.table(
        ("agent", "type", "status", "policy", ">version"),
        ((row["name"], row["type"], row["status"], row["config"]["policy"], row["version"]) for row in agents),
    )
    stage.screen.check(AGENT in {row["name"] for row in agents}, f"the agent {AGENT} is saved")


async def route(stage: Stage) -> None:
    """Explain a route: who would answer, why, at what cost."""
    stage.screen.say(f"prompt   {PUZZLE}")
    asked = stage.asked()
    decision = await stage.call("route_explain", prompt=PUZZLE, agent=AGENT)
    stage.screen.candidates(decision["candidates"])
    for reason in decision["reasons"]:
        stage.screen.say(f"- {reason}")
    stage.screen.check(len(decision["reasons"]) > 0, "the decision gives its reasons in words")
    providers = {row["provider"] for row in decision["candidates"]}
    stage.screen.check(providers == set(stage.providers), "both simulated providers are candidates, best first")
    stage.screen.check(stage.asked() == asked, "no provider was asked and nothing was spent")


async def types(stage: Stage) -> None:
    """Run tasks of several types, with live progress."""
    tasks = []
    for task_type, prompt, more in _TASKS:
        stage.screen.say(f"{task_type}: {shortened(prompt, 78)}", "bold")
        tasks.append(await _answered(stage, prompt, **more))
    stage.screen.gap()
    stage.screen.tasks(tasks)
    inferred = [task["decision"]["task_type"] for task in tasks]
    stage.screen.check(inferred == [row[0] for row in _TASKS], "each type was inferred from its prompt")
    extracted = tasks[-1]["output"]
    fits = isinstance(extracted, dict) and set(extracted) == set(_INVOICE_SCHEMA["required"])
    stage.screen.check(fits, "the extraction is an object that matches its schema")


async def _answered(stage: Stage, prompt: str, **more: Any) -> Json:
    task = await stage.run(prompt, **more)
    stage.screen.answer(task["output"])
    stage.screen.check(task["status"] == "completed", f"{task['provider']}/{task['model']} (simulated) answered")
    return task


async def outage(stage: Stage) -> None:
    """The first provider is down: another one answers."""
    decision = await stage.call("route_explain", prompt=CODE, agent=AGENT)
    first = decision["candidates"][0]["provider"]
    stage.screen.say(f"The route begins with {first}, which now answers every call with 503 (a simulated outage).")
    stage.providers[first].always = Fault(kind="status", status=503, message="This is a simulated outage.")
    task = await _answered(stage, CODE)
    stage.providers[first].always = None
    stage.screen.attempts(task)
    outcomes = [attempt["outcome"] for attempt in task["attempts"]]
    stage.screen.check(outcomes == ["failed", "completed"], "the first attempt failed and the second one answered")
    stage.screen.check(task["provider"] != first, f"{task['provider']} answered in place of {first}")


async def crash(stage: Stage) -> None:
    """Kill the server (kill -9) in the middle of an answer."""
    task = await stage.begin_and_pause(CODE)
    stage.screen.say(f"Task {task['id']} is {task['status']}; {WORDS_BEFORE_PAUSE} words of its answer have arrived.")
    stage.unfinished = task["id"]
    await stage.kill()


async def recovery(stage: Stage) -> None:
    """Start the server again: the same task goes on to its end."""
    task = await stage.call("task_get", id=stage.unfinished, wait_seconds=20)
    stage.screen.answer(task["output"])
    stage.screen.attempts(task)
    stage.screen.check(task["id"] == stage.unfinished, f"it is the same task, {task['id']}")
    stage.screen.check(task["status"] == "completed", "its answer is there, though nobody submitted it again")
    outcomes = [attempt["outcome"] for attempt in task["attempts"]]
    stage.screen.check(outcomes == ["cut", "completed"], "the cut attempt is booked beside the one that answered")
    cost = task["attempts"][0]["cost_usd"]
    stage.screen.check(cost > 0, f"its usage is unknown, so it is booked at what was set aside: {usd(cost)}")


async def cancel(stage: Stage) -> None:
    """Cancel in the middle of an answer: what had arrived is kept."""
    begun = await stage.begin_and_pause(CODE)
    task = await stage.call("task_cancel", id=begun["id"])
    stage.screen.answer(task["output"])
    stage.screen.check(task["status"] == "cancelled", "the task is cancelled")
    kept = task["partial"] and str(task["output"]).startswith("[simulated ")
    stage.screen.check(kept, f"the {len(str(task['output']).split())} words that had arrived are kept, marked partial")
    await stage.until_hung_up()
    stage.screen.ok("the call to the provider was closed")


async def budget(stage: Stage) -> None:
    """A budget refuses what could cost more than it allows."""
    asked = stage.asked()
    task = await stage.run(PUZZLE, max_cost_usd=0.000001)
    message = (task["error"] or {}).get("message", "")
    stage.screen.say(f"With max_cost_usd=0.000001 the task is {task['status']}: {message}")
    stage.screen.check(task["status"] == "failed" and "budget" in message, "the task was refused for its budget")
    stage.screen.check(stage.asked() == asked and task["cost_usd"] == 0, "no provider was asked and nothing was spent")


async def usage(stage: Stage) -> None:
    """What it cost, and what the strongest model alone would have cost."""
    report = await stage.call("usage_report", group_by="model")
    stage.screen.usage(report)
    stage.screen.check(report["cost_usd"] > 0, "every attempt has its price, also the cut and the cancelled one")
    saved = report["savings_usd"] or 0
    stage.screen.check(saved > 0, f"routing saved {usd(saved)} of what the strongest model alone would have cost")


async def audit(stage: Stage) -> None:
    """The newest entries of the audit trail, and the proof that nobody changed it."""
    entries = (await stage.call("audit_search", limit=12))["entries"]
    stage.screen.trail(entries)
    numbers = [row["sequence"] for row in entries]
    without_gap = numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
    stage.screen.check(without_gap, "the entries are numbered without a gap, each with its hash")
    recorded = {"task_cancelled", "task_failed"} <= {row["action"] for row in entries}
    stage.screen.check(recorded, "the cancelled and the refused task are on record")
    proof = await stage.call("audit_verify")
    stage.screen.check(proof["ok"], f"all {proof['entries']} entries are as they were written, by their hashes")
    entry, forged = await anyio.to_thread.run_sync(harmed, stage.database)
    found = forged.fault is not None and forged.fault.sequence == entry
    stage.screen.check(found, f"in a copy where somebody changed entry {entry}, that entry is found")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _sentence(error: BaseException, log: Path) -> str:
    if isinstance(error, NotSoError):
        sentence = f"The demo stopped: {error}."
    elif isinstance(error, MCPError):
        sentence = f"The demo stopped: the server did not answer ({error})."
    else:
        sentence = f"The demo stopped on an unexpected fault ({type(error).__name__}: {error})."
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES_SHOWN:] if log.exists() else []
    return "\n".join([sentence, *(["The server's log ends with:", *said] if said else [])])
