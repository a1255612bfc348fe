"""A refusal in the form that the client of a path reads: REST's, OpenAI's, or JSON-RPC's for MCP."""

import json
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from vel_tutor_mcp.doors.bearer import answer
from vel_tutor_mcp.doors.gateway import refusals as gateway

_MCP = ("/mcp", "/messages/")
_INVALID_REQUEST = -32600


def refusal(
    path: str,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    details: Sequence[Mapping[str, str]] = (),
) -> Response:
    """`details` say of fields what is wrong with them."""
    if path.startswith(gateway.PREFIX):
        param = details[0]["field"] if details else None
        return gateway.refusal(status, message, code, dict(headers or {}), param)
    if path in _MCP:
        error = {"code": _INVALID_REQUEST, "message": message, "data": {"code": code}}
        # Which request it was is not known: it was not read.
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        return Response(body, status_code=status, media_type="application/json", headers=headers)
    return answer(status, code, message, headers, details)
