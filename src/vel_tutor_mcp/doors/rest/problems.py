"""What goes wrong, in the one form that all routes answer with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vel_tutor_mcp.doors.bounds import TOO_LARGE
from vel_tutor_mcp.doors.gateway.refusals import NOT_DONE
from vel_tutor_mcp.doors.refusals import refusal
from vel_tutor_mcp.doors.reply import ANSWERS, answer_to, sentence
from vel_tutor_mcp.doors.rest.wrapping import limit_headers
from vel_tutor_mcp.errors import Forbidden, InputError, TooManyTries, Unauthenticated, Unavailable, VelError
from vel_tutor_mcp.services.rates import Allowance
from vel_tutor_mcp.services.reports import shortened

Handler = Callable[[Request, Any], Awaitable[Response]]

_LONGEST_PLACE = 80
_MOST_DETAILS = 20
_RETRY_SECONDS = 5
# What the framework itself refuses.
REFUSED: Mapping[int, tuple[str, str]] = {
    400: ("VALIDATION_ERROR", "The request cannot be read; its body is no JSON; send a JSON object."),
    404: ("NOT_FOUND", "There is no such path; see /api/openapi.json for what there is."),
    405: ("METHOD_NOT_ALLOWED", "This path does not take this method; see the header Allow; use one of those."),
    413: TOO_LARGE[1:],
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body is not JSON; send it as Content-Type: application/json."),
}
_UNKNOWN = ("INTERNAL_SERVER_ERROR", "Something went wrong; the fault is the server's; its log on stderr has more.")
_TOLD: Mapping[int, str] = {row.status: row.code for row in ANSWERS.values()} | {
    status: code for status, (code, _) in REFUSED.items()
}


class Detail(BaseModel):
    field: str
    message: str


class Error(BaseModel):
    code: str
    message: str
    details: list[Detail]


class Problem(BaseModel):
    """An error: `code` for programs, `message` for people, `details` for each field that is wrong."""

    error: Error
    timestamp: str = Field(examples=["2026-11-26T08:00:00.000Z"])


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route other than its good one, for its documentation."""
    return {
        status: {"model": Problem, "description": f"{HTTPStatus(status).phrase}: {_TOLD[status]}"}
        for status in statuses
    }


def problem(request: Request, error: VelError, details: Sequence[Mapping[str, str]] = ()) -> Response:
    """The error as the caller's kind of client reads it."""
    row, headers = answer_to(error), dict[str, str]()
    if isinstance(error, TooManyTries):
        headers = {"retry-after": str(error.retry_after)} | _used_up(error)
    elif isinstance(error, Unavailable):
        headers = {"retry-after": str(_RETRY_SECONDS)}
    elif isinstance(error, Unauthenticated):
        headers = {"www-authenticate": "Bearer"}
    elif isinstance(error, Forbidden):
        headers = {"www-authenticate": 'Bearer error="insufficient_scope"'}
    return refusal(request.url.path, row.status, row.code, sentence(error), headers, details)


def _used_up(error: TooManyTries) -> dict[str, str]:
    if error.limit is None:
        return {}
    return limit_headers(Allowance(error.limit, 0, datetime.now(UTC) + timedelta(seconds=error.retry_after)))


async def _failed(request: Request, error: VelError) -> Response:
    return problem(request, error)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    rows = error.errors()
    details = [_detail(row) for row in rows][:_MOST_DETAILS]
    first = details[0]
    text = f"Bad value for {first['field']}; {first['message']}; correct it and send the request again."
    if rows[0]["type"] == NOT_DONE:
        text = f"{first['field']} cannot be used here; an answer is one whole text; leave it out and send it again."
    return problem(request, InputError(text), details)


async def _refused(request: Request, error: HTTPException) -> Response:
    code, message = REFUSED.get(error.status_code, _UNKNOWN)
    return refusal(request.url.path, error.status_code, code, message, error.headers)


async def _broken(request: Request, _: Exception) -> Response:
    return refusal(request.url.path, 500, *_UNKNOWN)


HANDLERS: dict[Any, Handler] = {
    VelError: _failed,
    RequestValidationError: _invalid,
    HTTPException: _refused,
    Exception: _broken,
}


def _detail(row: Mapping[str, Any]) -> dict[str, str]:
    """Which field is wrong and how; neither what was sent, nor names that are not ours, are repeated."""
    # Its first part only says where it was sent: body, query, path or header.
    place = row["loc"][1:]
    match row["type"]:
        case "json_invalid":
            return {"field": "body", "message": "it is not valid JSON"}
        case "extra_forbidden":
            place, message = place[:-1], "it has a field that is not known"
        case _:
            message = f"{row['msg'][0].lower()}{row['msg'][1:]}"
    field = shortened(".".join(str(part) for part in place), _LONGEST_PLACE)
    return {"field": field or str(row["loc"][0]), "message": message}
