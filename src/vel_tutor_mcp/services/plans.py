"""Plans from the outside: what Task Master's own AI tools are to make in a project. `planner` makes them.

A plan is a run of one step, and what it asks of models are the step's tasks: so it is followed, cancelled, tried again
and paid for as other runs are.
"""

from typing import Any, Literal

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.runs import Runs
from vel_tutor_mcp.services.workflows import save
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.taskmaster import merging
from vel_tutor_mcp.taskmaster.children import Children
from vel_tutor_mcp.taskmaster.merging import PlanRequest
from vel_tutor_mcp.taskmaster.planning import Action, Plan
from vel_tutor_mcp.workflows.graph import read
from vel_tutor_mcp.workflows.model import Run, RunRequest

STEP = "plan"
_NAME = "taskmaster_plan"
_DEFINITION: dict[str, Any] = {
    "description": "What Task Master plans in a project; begun by taskmaster_plan.",
    "inputs": {
        "type": "object",
        "properties": {
            "project": {"type": "string"},
            "action": {"enum": [action.value for action in Action]},
            "target": {"type": "string"},
            "count": {"type": "integer"},
            "tag": {"type": "string"},
        },
        "required": ["project", "action", "tag"],
        "additionalProperties": False,
    },
    "steps": [{"id": STEP, "kind": "plan", "timeout_seconds": 3600}],
}


class Plans:
    """Begins plans."""

    def __init__(self, database: Database, runs: Runs, children: Children) -> None:
        self._database = database
        self._runs = runs
        self._children = children

    @allows(Operation.TASKMASTER_PLAN)
    async def start(
        self,
        principal: Principal,
        path: str,
        action: Literal["parse_prd", "expand", "analyze"],
        *,
        target: str | None = None,
        count: int | None = None,
        tag: str | None = None,
    ) -> Run:
        """Begin a plan, which a process with this home makes. `target` is a PRD's path in the project, or a task's id.

        Raises:
            InputError, NotFound, Conflict: see `merging.checked`. ConfigurationError: Task Master cannot be started.
            NoCandidate: no provider can be called at all.
        """
        wanted = PlanRequest(project=path, action=Action(action), target=target, count=count, tag=tag)
        plan = await in_thread(lambda: self._checked(wanted))
        inputs = {"project": path, "action": plan.action.value, "target": plan.target, "count": count, "tag": plan.tag}
        given = {name: value for name, value in inputs.items() if value is not None}
        return await self._runs.start(principal, RunRequest(workflow=await self._workflow(principal), inputs=given))

    def _checked(self, wanted: PlanRequest) -> Plan:
        plan = merging.checked(wanted)
        self._children.check()
        return plan

    @unbroken
    async def _workflow(self, principal: Principal) -> str:
        async with self._database.write(principal.organisation_id) as tx:
            return (await save(tx, principal, _NAME, _DEFINITION, read(_DEFINITION))).id


def wanted_by(run: Run) -> PlanRequest:
    """What a run of a plan is to make."""
    return PlanRequest(**run.inputs | {"action": Action(run.inputs["action"])})
