"""`/v1/chat/completions` and `/v1/models`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from vel_tutor_mcp.doors.events import HEADERS, HEARTBEAT, HEARTBEAT_SECONDS, data_of
from vel_tutor_mcp.doors.gateway import told as shown
from vel_tutor_mcp.doors.gateway.asked import Chat, request_of
from vel_tutor_mcp.doors.gateway.refusals import body_of, documented, refusal
from vel_tutor_mcp.doors.metrics.traffic import LEFT
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Asked, Key, Submission, Visit
from vel_tutor_mcp.errors import InputError, NotFound, VelError
from vel_tutor_mcp.models import Task, TaskRequest
from vel_tutor_mcp.services.agents import DEFAULT_AGENT
from vel_tutor_mcp.services.following import MAX_WAIT_SECONDS
from vel_tutor_mcp.services.reports import Told

AUTO = "auto"
_BEGUN_ANEW = (
    "The answer was begun anew by another model after a part of it was sent; it is not the same; ask for it without "
    "stream, or read the task."
)

router = APIRouter(prefix="/v1", tags=["gateway"], responses=documented(400, 401, 403, 429, 503))


@router.post("/chat/completions", responses=documented(402, 404, 409, 413, 415, 422), dependencies=TAKES_JSON)
async def chat_completions(visit: Submission, http: Request, body: Chat, key: Key = None) -> Response:
    """An answer as OpenAI's API gives it. `model` is `auto`, the name of an agent, or a model."""
    request = await _request(visit, body, key)
    task = await visit.app.tasks.submit(visit.me, request)
    # With a key: by that its owner comes back, maybe before it is noticed that they were gone.
    may_be_left = key is not None
    if body.stream:
        # With a schema, an answer is checked and written anew at its end: its pieces are not what is given.
        answer = Answer(
            visit,
            task,
            is_written_along=request.response_schema is None,
            with_usage=body.with_usage,
            may_be_left=may_be_left,
        )
        return StreamingResponse(answer.lines(), media_type="text/event-stream", headers=HEADERS)
    told = await _awaited(visit, task, http)
    if told is None:
        if not may_be_left:
            await _cancel_left(visit, task)
        return Response(status_code=LEFT)  # nobody reads it, but it is counted
    if (failed := shown.failure(told)) is not None:
        return refusal(*failed, headers=shown.NOT_AGAIN if told.status.ended else None)
    return JSONResponse(shown.completion(told))


@router.get("/models")
async def list_models(visit: Visit) -> JSONResponse:
    """`auto`, one's agents, and the models of the providers that can be called."""
    agents = await visit.app.agents.list(visit.me, limit=100)
    rows = [_model(AUTO, "vel-tutor"), *(_model(agent.name, "agent") for agent in agents.rows)]
    rows += [
        _model(row.name, row.provider)
        for row in visit.app.catalog.models
        if row.provider in visit.app.routes.configured and not row.retired
    ]
    return JSONResponse({"object": "list", "data": rows})


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


async def _request(visit: Asked, chat: Chat, key: str | None) -> TaskRequest:
    """The task for the agent that `model` names, else for the default one on the model of this name."""
    name, model = DEFAULT_AGENT if chat.model == AUTO else chat.model, None
    try:
        agent, _ = await visit.app.agents.get(visit.me, name)
    except NotFound:
        try:
            model = visit.app.catalog.find(chat.model).name
        except InputError:
            raise NotFound(
                "There is no such model; neither an agent of yours nor a model has this name; see /v1/models."
            ) from None
        agent, _ = await visit.app.agents.get(visit.me, DEFAULT_AGENT)
    return request_of(chat, agent.id, agent.config, model, key)


async def _ended(visit: Asked, task_id: str) -> Told:
    """The task, once it has ended, or the product closes."""
    while True:
        told = await visit.app.tasks.follow(visit.me, task_id, MAX_WAIT_SECONDS)
        if told.status.ended or visit.app.streams.closing():
            return told


async def _awaited(visit: Asked, task: Task, http: Request) -> Told | None:
    """The task, once it has ended or the product closes; None where the client has left before."""
    ended, left = asyncio.create_task(_ended(visit, task.id)), asyncio.create_task(_left(http))
    try:
        await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else None
    finally:
        ended.cancel()
        left.cancel()


async def _left(http: Request) -> None:
    """Return once the client is gone, or is shown out. Its body was read: nothing else comes from it."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _cancel_left(visit: Asked, task: Task) -> None:
    """Cancel what its owner has left; but who is shown out since the server is stopped has not: the task goes on."""
    if visit.app.streams.closing():
        return
    # The request may be cancelled already, by which every await in here would be cut.
    with anyio.CancelScope(shield=True), suppress(VelError):
        await visit.app.tasks.cancel(visit.me, task.id)


@dataclass(frozen=True, slots=True)
class Answer:
    """One streamed answer; whoever leaves before its end cancels the task, unless it may be left."""

    visit: Asked
    task: Task
    is_written_along: bool
    with_usage: bool
    may_be_left: bool
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    async def lines(self) -> AsyncIterator[str]:
        has_ended = False
        try:
            yield shown.chunk(self.task, {"role": "assistant", "content": ""})
            async for text in self._pieces():
                yield text
            has_ended = True
        finally:
            if not has_ended and not self.may_be_left:
                await _cancel_left(self.visit, self.task)

    async def _pieces(self) -> AsyncIterator[str]:
        spoken, pieces = shown.Spoken(), asyncio.Queue[str | None]()

        def hear(attempt_id: str, before: int, text: str) -> None:
            if self.is_written_along and spoken.hear(attempt_id, before, text):
                pieces.put_nowait(text)

        with self.visit.app.streams.reading(self.task.id, hear):
            following = asyncio.create_task(_ended(self.visit, self.task.id))
            following.add_done_callback(lambda _: pieces.put_nowait(None))
            try:
                while (text := await self._heard(pieces)) is not None:
                    yield text
            finally:
                following.cancel()
        for text in self._end(following, spoken):
            yield text

    async def _heard(self, pieces: "asyncio.Queue[str | None]") -> str | None:
        """The next piece, or that there was none for long; None behind the last one."""
        try:
            async with asyncio.timeout(self.heartbeat_seconds):
                piece = await pieces.get()
        except TimeoutError:
            return HEARTBEAT
        return None if piece is None else shown.chunk(self.task, {"content": piece})

    def _end(self, following: "asyncio.Task[Told]", spoken: shown.Spoken) -> list[str]:
        try:
            told = following.result()
        except VelError as problem:
            return [data_of(body_of(503, str(problem), problem.code))]
        if (failed := shown.failure(told)) is not None:
            return [data_of(body_of(*failed))]
        rest = spoken.rest(told.task.output or "")
        if rest is None:
            return [data_of(body_of(502, _BEGUN_ANEW, "begun_anew"))]
        lines = [shown.chunk(told.task, {"content": rest})] if rest else []
        lines.append(shown.chunk(told.task, {}, shown.finish_reason(told)))
        return [*lines, *([shown.usage_chunk(told)] if self.with_usage else []), shown.DONE]
