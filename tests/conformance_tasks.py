"""What the official conformance suite looks for of the Tasks extension: leaves for tests alone, whose work is real
tasks and runs of the product, begun, stored, told of and decided as any other.

The model that answers is `vendor`, to be run beside the server.
"""

from dataclasses import replace
from typing import Annotated, Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.server import require_client_extension
from mcp_types import CallToolResult
from pydantic import BaseModel
from waits import lapse

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, READS, Desk, Wait, tool
from vel_tutor_mcp.doors.mcp import Server
from vel_tutor_mcp.doors.reply import task_replied
from vel_tutor_mcp.doors.run_reply import run_replied
from vel_tutor_mcp.doors.tasks_extension import TASKS
from vel_tutor_mcp.models import TaskRequest
from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.workflows.model import RunRequest

WORDS_PER_SECOND = 20
# No work that is to be held by a handle has ended when that is made, on a busy machine neither.
SHORTEST_SECONDS = 2
FAULT = "Meet a fault of the server's own"

lasting = tool("For the conformance suite", CALLS_OUT, Operation.TASK_SUBMIT, lasting=True)


def vendor() -> SimulatedProvider:
    """A model that says what it was asked to, at a steady pace."""
    return SimulatedProvider("groq", tokens_per_second=WORDS_PER_SECOND, answer=said)


def said(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def lasts(seconds: float = SHORTEST_SECONDS) -> int:
    """So many words take so long to say."""
    return int(max(seconds, SHORTEST_SECONDS if seconds else 0) * WORDS_PER_SECOND)


def prepare(server: Server) -> None:
    """The suite fills in forms without a look at what they ask: its word for a yes is put in the place of ours."""

    async def translated(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tasks/update" and ctx.params is not None:
            answers = {name: renamed(answer) for name, answer in ctx.params["inputResponses"].items()}
            ctx = replace(ctx, params={**ctx.params, "inputResponses": answers})
        return await call_next(ctx)

    server.middleware.append(translated)


def renamed(answer: dict[str, Any]) -> dict[str, Any]:
    content = answer.get("content") or {}
    return answer | {"content": {**content, "approve": content["confirm"]}} if "confirm" in content else answer


async def done(desk: Desk, request: TaskRequest, wait_seconds: int = 0) -> CallToolResult:
    app, me = await desk.enter()
    task = await app.tasks.submit(me, request)
    return task_replied(await app.tasks.follow(me, task.id, wait_seconds))


async def asking(desk: Desk, name: str, *questions: str) -> CallToolResult:
    """A run that asks all of this at once."""
    app, me = await desk.enter()
    steps = [{"id": f"ask_{number}", "kind": "approval", "prompt": text} for number, text in enumerate(questions)]
    await app.workflows.save(me, name, {"steps": steps})
    run = await app.runs.start(me, RunRequest(workflow=name, inputs={}))
    return run_replied(await app.runs.tell(me, run.id))


@tool("For the conformance suite", READS, Operation.AGENT_READ)
async def greet(desk: Desk, name: str) -> str:
    """Greet at once."""
    return f"Hello, {name}!"


@lasting
async def slow_compute(desk: Desk, seconds: float = 1, label: str = "it", wait_seconds: Wait = 45) -> CallToolResult:
    """Have a model talk for so long."""
    words = " ".join(["computed", label, *["slowly"] * lasts(seconds)])
    return await done(desk, TaskRequest(prompt=words), wait_seconds)


@lasting
async def failing_job(desk: Desk, ctx: Context[Any, Any]) -> CallToolResult:
    """Have a model answer in a form that it does not keep to; only for who holds handles."""
    require_client_extension(ctx.request_context, TASKS)
    words = "number " * lasts()
    once = {"fallback": False, "max_retries": 0}
    return await done(desk, TaskRequest(prompt=words, response_schema={"type": "integer"}, config=once))


@lasting
async def protocol_error_job(desk: Desk) -> CallToolResult:
    """Meet a fault of the server's own in the middle of a task."""
    break_on(FAULT, await desk.product())
    return await done(desk, TaskRequest(prompt=FAULT))


def break_on(prompt: str, app: App) -> None:
    """Seed a fault into the work on tasks of this prompt."""
    work = app._answers._answer

    async def broken(job: Any) -> Any:
        if job.subject.task.prompt == prompt:
            await lapse(SHORTEST_SECONDS)
            raise RuntimeError("A fault was seeded.")
        return await work(job)

    app._answers._answer = broken  # type: ignore[method-assign]  # a fault in our own code, which nothing outside gives


@lasting
async def confirm_delete(desk: Desk, filename: str = "a file") -> CallToolResult:
    """Ask one thing."""
    return await asking(desk, "confirm-delete", f"Delete {filename}?")


@lasting
async def multi_input(desk: Desk) -> CallToolResult:
    """Ask two things at once."""
    return await asking(desk, "multi-input", "Is the name right?", "Is all else right?")


class Name(BaseModel):
    name: str


async def whom() -> Elicit[Name]:
    return Elicit("Who is to be greeted?", Name)


@lasting
async def test_tool_with_task(
    desk: Desk, user_name: Annotated[ElicitationResult[Name], Resolve(whom)]
) -> CallToolResult:
    """Ask whom to greet, then have a model do it."""
    assert isinstance(user_name, AcceptedElicitation)
    words = f"Hello, {user_name.data.name}, " + "again " * lasts()
    return await done(desk, TaskRequest(prompt=words))
