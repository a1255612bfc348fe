"""The demo on real providers, with the keys of the environment and their smallest models: `make demo LIVE=1`.

Its server has a budget of $0.05 for the day, which the ledger enforces, and a database of its own. What a provider does
is no longer ours to say: an outage is an address at which nobody answers, and a call is cut when its first words came.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from vel_tutor_mcp.demo import story
from vel_tutor_mcp.demo.screen import Json, NotSoError, Screen, shortened, usd
from vel_tutor_mcp.demo.stage import AGENT, Stage
from vel_tutor_mcp.demo.workflow import start_and_approve
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow

BUDGET_USD = 0.05

_STEP_SECONDS = 180.0
_NOBODY = "http://127.0.0.1:9/v1"  # the port for what is thrown away; nothing listens there
_LONG = "Explain in about 300 words how a hash chain makes a log tamper-evident, and what it cannot do."
_TASKS = (story.CODE, "Translate into German: The meeting is moved to Tuesday.", "What is 17 times 23? Answer briefly.")


@dataclass(frozen=True)
class Vendor:
    """A provider whose key is set, with its smallest model."""

    name: str
    settings: Mapping[str, str]
    model: ModelRow

    def told(self) -> str:
        address = self.settings.get(f"{self.name.upper()}_BASE_URL")
        return f"{self.model.name}{f' (at {address})' if address else ''}"


class LiveStage(Stage):
    """`down` names the provider that cannot be reached, for as long as a server runs."""

    def __init__(self, screen: Screen, vendors: list[Vendor], folder: Path) -> None:
        super().__init__(screen, {}, folder)
        self.vendors = vendors
        self.down: str | None = None
        self._speaks = anyio.Event()

    def _settings(self) -> dict[str, str]:
        found = {"VEL_TUTOR_BUDGET_USD_DAY": str(BUDGET_USD)}
        for vendor in self.vendors:
            found |= vendor.settings
        return found | ({f"{self.down.upper()}_BASE_URL": _NOBODY} if self.down else {})

    async def begin(self, prompt: str) -> Json:
        """Begin a task, and return when the first words of its answer have come."""
        self._speaks = anyio.Event()
        begun = await self.run(prompt, wait_seconds=0)
        async with anyio.create_task_group() as following:

            async def follow() -> None:
                await self.call("task_get", id=begun["id"], wait_seconds=25)
                self._speaks.set()  # it ended without a word of news

            following.start_soon(follow)
            await self._speaks.wait()
            following.cancel_scope.cancel()
        return begun

    async def _news(self, progress: float, total: float | None, message: str | None) -> None:
        await super()._news(progress, total, message)
        if "first token" in (message or ""):
            self._speaks.set()


def play() -> str | None:
    """Show everything; returns what went wrong, None where nothing did.

    Raises:
        ConfigurationError: no provider has a key.
    """
    vendors = _vendors(os.environ)
    if not vendors:
        raise ConfigurationError(
            "The live demo asks real models; neither OPENAI_API_KEY nor GROQ_API_KEY is set; set one of them, or run "
            "the simulated demo without --live."
        )

    async def tell(screen: Screen, folder: Path) -> None:
        await _tell(LiveStage(screen, vendors, folder))

    return story.played(tell, Screen(simulated=False))


def _vendors(environment: Mapping[str, str]) -> list[Vendor]:
    catalog, found = Catalog.load(), []
    for name in ("openai", "groq"):
        settings = {key: value for key in (f"{name.upper()}_API_KEY", f"{name.upper()}_BASE_URL")
                    if (value := environment.get(key))}  # fmt: skip
        small = [row for row in catalog.models if (row.provider, row.tier) == (name, "small") and not row.retired]
        if f"{name.upper()}_API_KEY" in settings and small:
            found.append(Vendor(name, settings, small[0]))
    return found


async def _tell(stage: LiveStage) -> None:
    begun = time.monotonic()
    names = " and ".join(vendor.told() for vendor in stage.vendors)
    stage.screen.say(f"Vel Tutor, from end to end, live: {names}, for at most ${BUDGET_USD:.2f} in all.", "bold")
    async with stage.serving():
        await _play(stage, story.tools, _of(agent, stage), _of(types, stage), _of(crash, stage))
    async with stage.serving():
        await _play(stage, _of(recovery, stage), start_and_approve, _of(cancel, stage), _of(budget, stage))
    if len(stage.vendors) > 1:
        stage.down = stage.vendors[0].name
        async with stage.serving():
            await _play(stage, _of(outage, stage))
        stage.down = None
    async with stage.serving():
        await _play(stage, _of(usage, stage), story.audit)
    stage.screen.gap()
    stage.screen.say(f"All of it is so, shown in {time.monotonic() - begun:.0f} s.", "bold")


async def _play(stage: LiveStage, *steps: story.Step) -> None:
    await story.play_steps(stage, *steps, seconds=_STEP_SECONDS)


def _of(step: Any, stage: LiveStage) -> story.Step:
    """The step, which knows that its stage is live."""

    async def on_stage(_: Stage) -> None:
        await step(stage)

    on_stage.__doc__ = step.__doc__
    return on_stage


async def agent(stage: LiveStage) -> None:
    """Create an agent that asks the smallest models."""
    first = stage.vendors[0].model.name
    config = {
        "system_prompt": "Answer briefly.",
        "policy": "cheapest",
        "providers": [vendor.name for vendor in stage.vendors],
        "model_preferences": {kind.value: first for kind in TaskType},
        "max_output_tokens": 1024,
    }
    await stage.call("agent_create", name=AGENT, config=config)
    decision = await stage.call("route_explain", prompt=story.CODE, agent=AGENT)
    stage.screen.candidates(decision["candidates"])
    stage.screen.check(decision["candidates"][0]["model"] == stage.vendors[0].model.model, f"{first} is asked first")


async def types(stage: LiveStage) -> None:
    """Run tasks of several types, with live progress."""
    tasks = []
    for prompt in _TASKS:
        stage.screen.say(shortened(prompt, 90), "bold")
        tasks.append(await stage.run(prompt, wait_seconds=50))
        stage.screen.answer(tasks[-1]["output"])
        stage.screen.check(tasks[-1]["status"] == "completed", f"{tasks[-1]['provider']} answered")
    stage.screen.gap()
    stage.screen.tasks(tasks)
    stage.screen.check(all(task["cost_usd"] > 0 for task in tasks), "each has its price, of the tokens that it used")


async def crash(stage: LiveStage) -> None:
    """Kill the server (kill -9) in the middle of an answer."""
    begun = await stage.begin(_LONG)
    stage.unfinished = begun["id"]
    await stage.kill_server()


async def recovery(stage: LiveStage) -> None:
    """Start the server again: the same task goes on to its end."""
    task = await stage.call("task_get", id=stage.unfinished, wait_seconds=50)
    stage.screen.answer(task["output"])
    stage.screen.attempts(task)
    stage.screen.check(task["status"] == "completed", "its answer is there, though nobody submitted it again")
    outcomes = [attempt["outcome"] for attempt in task["attempts"]]
    stage.screen.check(outcomes[0] == "cut", "the cut attempt is booked, at what was set aside for it")


async def cancel(stage: LiveStage) -> None:
    """Cancel in the middle of an answer: what had arrived is kept."""
    begun = await stage.begin(_LONG)
    task = await stage.call("task_cancel", id=begun["id"])
    stage.screen.answer(task["output"])
    stage.screen.check(task["status"] == "cancelled" and task["partial"], "the task is cancelled, its words are kept")


async def budget(stage: LiveStage) -> None:
    """A budget refuses what could cost more than it allows."""
    task = await stage.run(story.CODE, max_cost_usd=0.0000001)
    message = (task["error"] or {}).get("message", "")
    stage.screen.say(f"With max_cost_usd=0.0000001 the task is {task['status']}: {message}")
    refused = task["status"] == "failed" and "budget" in message
    stage.screen.check(refused and not task["attempts"], "it was refused for its budget, and nobody was asked")


async def outage(stage: LiveStage) -> None:
    """The first provider cannot be reached: another one answers."""
    stage.screen.say(f"The server was started with an address for {stage.down} at which nobody answers.")
    task = await stage.run(story.CODE, wait_seconds=50)
    stage.screen.attempts(task)
    stage.screen.check(task["status"] == "completed", f"{task['provider']} answered in place of {stage.down}")


async def usage(stage: LiveStage) -> None:
    """What it cost, and what is left of the budget."""
    report = await stage.call("usage_report", group_by="model")
    stage.screen.usage(report)
    (day,) = report["budgets"]
    if day["spent_usd"] > BUDGET_USD:
        raise NotSoError(f"more than ${BUDGET_USD:.2f} was spent")
    stage.screen.ok(f"{usd(day['spent_usd'])} of ${BUDGET_USD:.2f} is spent, what was cut and cancelled included")
