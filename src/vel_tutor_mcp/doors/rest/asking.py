"""What every route gets: the product, who is asking, and where in a list they are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.models import Page
from vel_tutor_mcp.services.rates import Allowance, Quota

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.auth.accounts import Caller
    from vel_tutor_mcp.models import Principal

Row = TypeVar("Row")

MAX_OFFSET = 1_000_000_000
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The token of a sign-in, or of `token issue`.")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `caller` is None for the local user, who needs no token and has no limits."""

    app: "App"
    me: "Principal"
    caller: "Caller | None"
    address: str

    async def count(self, kind: Quota, times: int = 1) -> Allowance | None:
        """Count this as one more, or so many, within the limits of who is asking."""
        return await self.app.rates.admit(self.me, kind, times) if self.caller else None


async def _asked(request: Request, _: Annotated[Any, Security(_bearer)]) -> Asked:
    return await _counted(request, Quota.REQUEST)


async def _submitting(request: Request, _: Annotated[Any, Security(_bearer)]) -> Asked:
    return await _counted(request, Quota.TASK)


async def _counted(request: Request, kind: Quota) -> Asked:
    desk: Desk = request.app.state.desk
    app, me = await desk.enter()
    asked = Asked(app, me, desk.caller(), address_of(request.scope))
    request.state.allowance = await asked.count(kind)
    return asked


async def once(
    visit: Asked,
    key: str | None,
    path: str,
    body: BaseModel,
    do: Callable[[], Awaitable[JSONResponse]],
    again: Response | None = None,
) -> Response:
    """Do it, or where the same request was done with this key, answer as then, or `again` if that may not be kept."""
    if key is None:
        return await do()
    # Secrets are masked in the dump: no hash of them is kept.
    earlier = await visit.app.repeats.begin(visit.me, key, {"path": path, "body": body.model_dump(mode="json")})
    if earlier is not None:
        return Response(earlier[1], earlier[0], {"idempotent-replayed": "true"}, "application/json")
    try:
        response = await do()
    # Not where it is cancelled: it may have been done, so its key is not free at once (`services.repeats`).
    except Exception:
        await visit.app.repeats.forget(visit.me, key)
        raise
    kept = again or response
    await visit.app.repeats.end(visit.me, key, kept.status_code, bytes(kept.body).decode())
    return response


async def is_json(request: Request) -> None:
    """Raises:
    HTTPException: there is a body which does not say that it is JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and await request.body():
        raise HTTPException(415)


TAKES_JSON = [Depends(is_json)]


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted."""

    limit: Annotated[int, Query(ge=1, le=100, description="rows of the page")] = 20
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="rows before the page")] = 0


Visit = Annotated[Asked, Depends(_asked)]
Submission = Annotated[Asked, Depends(_submitting)]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="the same key never does it twice"),
]
Part = Annotated[Window, Depends()]
Id = Annotated[str, Path(max_length=200, description="its id")]
Moment = Annotated[str | None, Query(max_length=40, description="ISO 8601")]
NameOrId = Annotated[str, Path(max_length=200, description="its id or name")]


def listed(page: Page[Row], window: Window, show: Callable[[Row], dict[str, Any]]) -> JSONResponse:
    meta = {"total": page.total, "limit": window.limit, "offset": window.offset}
    return JSONResponse({"data": [show(row) for row in page.rows], "meta": meta})
