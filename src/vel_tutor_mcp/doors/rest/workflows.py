"""Workflows, their runs, and the approvals that these wait for: the same as the tools `workflow_...`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.auth.roles import is_own_word
from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, NameOrId, Part, Submission, Visit, listed, once
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.doors.rest.shown import shown_run
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.services.run_reports import full_workflow, short_run, short_workflow, shown_asked
from vel_tutor_mcp.workflows.model import How, RunRequest

router = APIRouter(prefix="/api", tags=["workflows"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(404, 409, 413, 415)
_OF_ONE = documented(404)
_CHANGES = documented(404, 409)


@router.post(
    "/workflows", status_code=201, response_model=answers.Workflow, responses=_WITH_BODY, dependencies=TAKES_JSON
)
async def save_workflow(visit: Visit, body: bodies.NewWorkflow, key: Key = None) -> Response:
    """Save a new version of a workflow. Faults are named with their place, and nothing faulty is stored."""

    async def save() -> JSONResponse:
        told = await visit.app.workflows.save(visit.me, body.name, body.definition)
        return JSONResponse(full_workflow(told), status_code=201)

    return await once(visit, key, "workflows", body, save)


@router.get("/workflows", response_model=answers.Listed[answers.WorkflowShort])
async def list_workflows(visit: Visit, part: Part) -> JSONResponse:
    """The workflows that one may see, newest first."""
    return listed(await visit.app.workflows.list(visit.me, limit=part.limit, cursor=part.offset), part, short_workflow)


@router.get("/workflows/{workflow}", response_model=answers.Workflow, responses=_OF_ONE)
async def get_workflow(visit: Visit, workflow: NameOrId) -> JSONResponse:
    """The workflow with its newest definition, and its graph as Mermaid text."""
    return JSONResponse(full_workflow(await visit.app.workflows.get(visit.me, workflow)))


@router.post(
    "/workflows/{workflow}/runs",
    status_code=201,
    response_model=answers.Run,
    responses=_WITH_BODY,
    dependencies=TAKES_JSON,
)
async def start_run(visit: Submission, workflow: NameOrId, body: bodies.NewRun, key: Key = None) -> JSONResponse:
    """Start the workflow. The same key with the same request: the same run."""
    request = RunRequest(workflow=workflow, inputs=body.inputs, max_cost_usd=body.max_cost_usd, idempotency_key=key)
    run = await visit.app.runs.start(visit.me, request)
    told = await visit.app.runs.follow(visit.me, run.id, body.wait_seconds)
    return JSONResponse(shown_run(told), status_code=201, headers={"location": f"/api/runs/{run.id}"})


@router.get("/runs", response_model=answers.Listed[answers.RunShort], responses=_OF_ONE)
async def list_runs(
    visit: Visit,
    part: Part,
    status: TaskStatus | None = None,
    workflow: Annotated[str | None, Query(max_length=100, description="id or name")] = None,
) -> JSONResponse:
    """The runs that one may see, newest first."""
    page = await visit.app.runs.list(visit.me, status=status, workflow=workflow, limit=part.limit, cursor=part.offset)
    return listed(page, part, short_run)


@router.get("/approvals", response_model=answers.Listed[answers.Approval])
async def list_approvals(visit: Visit, part: Part) -> JSONResponse:
    """What waits for a decision of yours, the longest waiting first."""
    page = await visit.app.runs.awaiting(visit.me, limit=part.limit, offset=part.offset)
    return listed(page, part, shown_asked)


@router.get("/runs/{run}", response_model=answers.Run, responses=_OF_ONE)
async def get_run(
    visit: Visit,
    run: Id,
    wait_seconds: Annotated[int, Query(ge=0, le=50, description="for its end, or an approval")] = 0,
) -> JSONResponse:
    """The run with its steps, graph, cost and history, and the approvals that it waits for."""
    return JSONResponse(shown_run(await visit.app.runs.follow(visit.me, run, wait_seconds)))


@router.post("/runs/{run}/cancel", response_model=answers.Run, responses=_CHANGES)
async def cancel_run(visit: Visit, run: Id) -> JSONResponse:
    """End the run; what its tasks had is kept."""
    return JSONResponse(shown_run(await visit.app.runs.cancel(visit.me, run)))


@router.post("/runs/{run}/retry", response_model=answers.Run, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def retry_run(visit: Visit, run: Id, body: bodies.RunRetry) -> JSONResponse:
    """Go on with a failed or cancelled run; what is completed is kept."""
    await visit.app.runs.retry(visit.me, run, body.step)
    return JSONResponse(shown_run(await visit.app.runs.tell(visit.me, run)))


@router.post(
    "/runs/{run}/steps/{step}/decision", response_model=answers.Run, responses=_WITH_BODY, dependencies=TAKES_JSON
)
async def decide_step(
    visit: Visit, run: Id, step: Annotated[str, Path(max_length=100)], body: bodies.Decision
) -> JSONResponse:
    """Decide an approval; the first decision counts. From a program it is taken as relayed: one that has an issued
    token, or none.
    """
    how = How.SIGNED_IN if visit.caller and is_own_word(visit.me) else How.RELAYED
    await visit.app.runs.decide(visit.me, run, step, how, body.comment, approve=body.approve)
    return JSONResponse(shown_run(await visit.app.runs.tell(visit.me, run)))
