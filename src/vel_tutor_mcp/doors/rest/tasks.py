"""Tasks: the same as the tools `task_...`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from starlette.responses import JSONResponse, StreamingResponse

from vel_tutor_mcp.doors.events import HEADERS
from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, Moment, Part, Submission, Visit, listed
from vel_tutor_mcp.doors.rest.piping import begun
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.doors.rest.shown import described_task, shown_task
from vel_tutor_mcp.doors.rest.streaming import MAX_ID, TaskStream
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER, TaskRequest, TaskStatus, TaskType
from vel_tutor_mcp.services.task_export import Format
from vel_tutor_mcp.task_lists import TaskFilter

router = APIRouter(prefix="/api/tasks", tags=["tasks"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(404, 409, 413, 415)
_OF_ONE = documented(404)
_CHANGES = documented(404, 409)
_KINDS: Mapping[Format, str] = {"csv": "text/csv", "json": "application/json"}
_EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in _KINDS.values()}}}
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}},
    204: {"description": "It has ended, and all of it was told."},
}


@router.post("", status_code=201, response_model=answers.Task, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def submit_task(visit: Submission, body: bodies.NewTask, key: Key = None) -> JSONResponse:
    """Give a task to an agent. The same key with the same request: the same task."""
    if None not in {key, body.idempotency_key} and key != body.idempotency_key:
        raise InputError("There are two idempotency keys, in header and body; one is enough; send one of them.")
    request = TaskRequest(
        prompt=body.prompt,
        agent=body.agent,
        task_type=body.task_type,
        priority=body.priority,
        parameters=body.parameters,
        response_schema=body.response_schema,
        max_cost_usd=body.max_cost_usd,
        idempotency_key=key or body.idempotency_key,
    )
    task = await visit.app.tasks.submit(visit.me, request)
    told = await visit.app.tasks.follow(visit.me, task.id, body.wait_seconds)
    return JSONResponse(shown_task(told), status_code=201, headers={"location": f"/api/tasks/{task.id}"})


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks are wanted."""

    status: TaskStatus | None = None
    agent_id: Annotated[str | None, Query(max_length=100, description="id or name of the agent")] = None
    query: Annotated[str | None, Query(max_length=200, description="text in the prompt")] = None
    provider: Annotated[str | None, Query(max_length=LONGEST_PROVIDER, description="that answered")] = None
    model: Annotated[str | None, Query(max_length=LONGEST_NAME, description="with its provider/, or without")] = None
    task_type: TaskType | None = None
    since: Moment = None
    until: Moment = None

    @property
    def wanted(self) -> TaskFilter:
        asked = {field.name: getattr(self, field.name) for field in fields(self)}
        return TaskFilter(agent=asked.pop("agent_id"), **asked)


Wanted = Annotated[Filter, Depends()]


@router.get("", response_model=answers.Listed[answers.ListedTask], responses=_OF_ONE)
async def list_tasks(visit: Visit, part: Part, wanted: Wanted) -> JSONResponse:
    """The tasks that one may see, newest first, without their answers."""
    page = await visit.app.tasks.list(visit.me, wanted.wanted, limit=part.limit, cursor=part.offset)
    return listed(page, part, described_task)


@router.get("/export", response_class=StreamingResponse, responses=_OF_ONE | _EXPORTED)
async def export_tasks(
    visit: Visit, wanted: Wanted, form: Annotated[Format, Query(alias="format")] = "csv"
) -> StreamingResponse:
    """What the list has, all of it, as a file: a table, or a JSON array. An answer that was cut off is not whole."""
    text = await begun(await visit.app.tasks.export(visit.me, wanted.wanted, form))
    headers = {"content-disposition": f'attachment; filename="tasks.{form}"', "cache-control": "no-store"}
    return StreamingResponse(text, media_type=_KINDS[form], headers=headers)


@router.get("/{task}", response_model=answers.Task, responses=_OF_ONE)
async def get_task(
    visit: Visit, task: Id, wait_seconds: Annotated[int, Query(ge=0, le=50, description="for its end")] = 0
) -> JSONResponse:
    """Status, answer, cost, attempts, route and history of a task."""
    return JSONResponse(shown_task(await visit.app.tasks.follow(visit.me, task, wait_seconds)))


@router.get("/{task}/stream", response_class=StreamingResponse, responses=_OF_ONE | _STREAMED)
async def stream_task(
    visit: Visit,
    task: Id,
    last_event_id: Annotated[int | None, Query(ge=0, le=MAX_ID, description="where there can be no header")] = None,
    of_header: Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_ID)] = None,
) -> Response:
    """The task's history and progress as server-sent events until it ends, from behind the last one that one has."""
    stream = TaskStream(visit, task, of_header or last_event_id or 0)
    if not await stream.begins():
        return Response(status_code=204)  # which tells browsers not to come again
    return StreamingResponse(stream.lines(), media_type="text/event-stream", headers=HEADERS)


@router.post("/{task}/cancel", response_model=answers.Task, responses=_CHANGES)
async def cancel_task(visit: Visit, task: Id) -> JSONResponse:
    """Stop the task; its partial text is kept."""
    return JSONResponse(shown_task(await visit.app.tasks.cancel(visit.me, task)))


@router.post("/{task}/retry", response_model=answers.Task, responses=_CHANGES)
async def retry_task(visit: Visit, task: Id) -> JSONResponse:
    """Run a failed or cancelled task again, with a fresh route."""
    await visit.app.tasks.retry(visit.me, task)
    return JSONResponse(shown_task(await visit.app.tasks.tell(visit.me, task)))


@router.post("/{task}/rate", response_model=answers.Task, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def rate_task(visit: Visit, task: Id, body: bodies.Rating) -> JSONResponse:
    """Rate the answer; the router learns from it."""
    await visit.app.tasks.rate(visit.me, task, body.rating, body.comment)
    return JSONResponse(shown_task(await visit.app.tasks.tell(visit.me, task)))
