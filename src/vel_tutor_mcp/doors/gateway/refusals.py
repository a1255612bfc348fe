"""Errors as OpenAI's clients read them."""

from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse

PREFIX = "/v1/"
# The kind of error of a parameter that is OpenAI's, and asks for what is not done here.
NOT_DONE = "not_done"
# The second is a task that ended without an answer: what was asked is not at fault.
_TOO_MANY, _UNANSWERED, _SERVER = 429, 422, 500


class Problem(BaseModel):
    """An error: its `message` is for people, its `code` for programs."""

    error: dict[str, Any]


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route other than its good one, for its documentation."""
    return {status: {"model": Problem} for status in statuses}


def refusal(
    status: int, message: str, code: str, headers: dict[str, str] | None = None, param: str | None = None
) -> JSONResponse:
    return JSONResponse(body_of(status, message, code, param), status_code=status, headers=headers)


def body_of(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": _type(status), "param": param, "code": code.lower()}}


def _type(status: int) -> str:
    if status == _UNANSWERED or status >= _SERVER:
        return "server_error"
    return "rate_limit_error" if status == _TOO_MANY else "invalid_request_error"
