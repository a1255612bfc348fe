"""How a person is asked for an approval through their client: the question, and the form that they fill in."""

from pydantic import BaseModel, Field

from vel_tutor_mcp.services.reports import shortened
from vel_tutor_mcp.workflows.model import Run, RunStep

_QUESTION_SHOWN = 4000


class Decision(BaseModel):
    """A person's own decision."""

    approve: bool = Field(title="Approve", description="yes to approve, no to reject")
    comment: str = Field(default="", title="Comment", description="kept with the decision, and given to later steps")


def question(run: Run, step: RunStep) -> str:
    """What the person is asked; a long one is cut, and says where the whole is."""
    whole = (step.seen or {})["prompt"]
    shown = shortened(whole, _QUESTION_SHOWN)
    if shown != whole:
        shown += f"\n\n[cut: {len(whole):,} characters in all; the whole: vel-tutor-mcp run get {run.id}]"
    return f"The workflow {run.workflow_name} asks for your approval ({step.step_id}):\n\n{shown}"
