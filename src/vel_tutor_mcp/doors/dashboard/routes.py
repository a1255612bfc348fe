"""The page's home in a browser: `/dashboard`."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vel_tutor_mcp.doors.dashboard.page import page

PATH = "/dashboard"
_NEVER = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")


def dashboard() -> Route:
    return Route(PATH, _page, methods=["GET"])


async def _page(request: Request) -> Response:
    it = page()
    headers = {
        "content-security-policy": it.policy,
        "cross-origin-opener-policy": "same-origin",
        # It may be kept, but is asked for each time: a new version of the product has a new page.
        "cache-control": "no-cache",
        "vary": "accept-encoding",
        "etag": it.etag,
    }
    if it.etag in map(str.strip, request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(it.plain, headers=headers, media_type="text/html")
    return Response(it.packed, headers=headers | {"content-encoding": "gzip"}, media_type="text/html")


def _takes_gzip(accepted: str) -> bool:
    taken = (row.partition(";") for row in accepted.split(","))
    return any(name.strip().lower() == "gzip" and not _NEVER.fullmatch(weight) for name, _, weight in taken)
