"""The demo's workflow: several steps, a crash in the middle of them, and a person who approves."""

from vel_tutor_mcp.demo.screen import Json, shortened
from vel_tutor_mcp.demo.stage import AGENT, WORDS_BEFORE_PAUSE, Stage

_NAME = "release-notes"
_PARTS = ["what is new", "what was mended", "what to do before upgrading"]
_OUTLINE, _DRAFT = "Outline the release notes", "Draft the part"
_DEFINITION: Json = {
    "description": "Outline release notes, draft each part, and publish them when a person has approved.",
    "inputs": {"type": "object", "properties": {"parts": {"type": "array"}}, "required": ["parts"]},
    "steps": [
        {"id": "outline", "kind": "task", "agent": AGENT, "prompt": f"{_OUTLINE} with {{{{ inputs.parts }}}}"},
        {
            "id": "draft", "kind": "map", "agent": AGENT, "needs": ["outline"], "over": "inputs.parts",
            "prompt": f"{_DRAFT} {{{{ item }}}} from: {{{{ steps.outline.output }}}}",
        },
        {
            "id": "approve", "kind": "approval", "needs": ["draft"], "human": True, "timeout_seconds": 86_400,
            "prompt": "Publish the notes? {{ steps.draft.output.succeeded }} parts are drafted.",
        },
        {"id": "publish", "kind": "task", "agent": AGENT, "needs": ["approve"], "prompt": "Announce the release."},
    ],
}  # fmt: skip


async def workflow(stage: Stage) -> None:
    """Run a workflow, and kill the server (kill -9) in the middle of it."""
    saved = await stage.call("workflow_save", name=_NAME, definition=_DEFINITION)
    stage.screen.say(f"{saved['name']}, version {saved['version']}, as a graph:")
    for line in saved["graph"].splitlines():
        stage.screen.say(f"  {line}")
    run = await stage.call("workflow_run", workflow=_NAME, inputs={"parts": _PARTS}, wait_seconds=0)
    stage.unfinished = run["id"]
    await stage.until_answering(_DRAFT, WORDS_BEFORE_PAUSE)
    told = await stage.call("workflow_get", id=run["id"])
    stage.screen.steps(told)
    await stage.kill()


async def start_and_approve(stage: Stage) -> None:
    """Run a workflow: it waits for a person, and goes on when they have approved."""
    await stage.call("workflow_save", name=_NAME, definition=_DEFINITION)
    told = await stage.call("workflow_run", workflow=_NAME, inputs={"parts": _PARTS[:2]}, wait_seconds=50)
    stage.screen.check(told["status"] == "awaiting_approval", "the run waits for its approval")
    await _approved(stage, told["id"])


async def approval(stage: Stage) -> None:
    """Start the server again: the run goes on, waits for a person, and ends."""
    told = await stage.call("workflow_get", id=stage.unfinished, wait_seconds=25)
    stage.screen.steps(told)
    stage.screen.check(told["status"] == "awaiting_approval", "the run went on by itself to its approval, and waits")
    again = stage.asked_for(_OUTLINE)
    stage.screen.check(again == 1, "the step that had ended before the crash was not done again")

    await _approved(stage, told["id"])


async def _approved(stage: Stage, run: str) -> None:
    await stage.call("workflow_decide", run=run, step="approve", approve=True)
    stage.screen.say(f"The person was asked by the client: {shortened(' '.join(stage.asked_person.split()), 90)}")
    stage.screen.check(bool(stage.asked_person), "a model cannot approve this step alone: the person was asked")
    told = await stage.call("workflow_get", id=run, wait_seconds=25)
    stage.screen.steps(told)
    stage.screen.check(told["status"] == "completed", "every step is done")
    (approved,) = (step["output"] for step in told["steps"] if step["id"] == "approve")
    stage.screen.check(
        approved["how"] == "elicited", f"it is on record who approved: {approved['by']}, asked in person"
    )
