"""What every route gets: the product, who is asking, and where in a list they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.models import Page

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.models import Caller, Principal

Row = TypeVar("Row")

MAX_OFFSET = 1_000_000_000
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The token of a sign-in, or of `token issue`.")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `caller` is None for the local user, who needs no token."""

    app: "App"
    me: "Principal"
    caller: "Caller | None"
    address: str


async def _asked(request: Request, _: Annotated[Any, Security(_bearer)]) -> Asked:
    desk: Desk = request.app.state.desk
    app, me = await desk.enter()
    return Asked(app, me, getattr(request.scope.get("user"), "caller", None), address_of(request.scope))


async def is_json(request: Request) -> None:
    """Raises:
    HTTPException: there is a body which does not say that it is JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and await request.body():
        raise HTTPException(415)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted."""

    limit: Annotated[int, Query(ge=1, le=100, description="rows of the page")] = 20
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="rows before the page")] = 0


Visit = Annotated[Asked, Depends(_asked)]
Part = Annotated[Window, Depends()]
Id = Annotated[str, Path(max_length=200, description="its id")]
NameOrId = Annotated[str, Path(max_length=200, description="its id or name")]


def listed(page: Page[Row], window: Window, show: Callable[[Row], dict[str, Any]]) -> JSONResponse:
    meta = {"total": page.total, "limit": window.limit, "offset": window.offset}
    return JSONResponse({"data": [show(row) for row in page.rows], "meta": meta})
