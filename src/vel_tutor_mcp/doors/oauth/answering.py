"""How every request of OAuth is answered: by the product's OAuth, and what it refuses is on record."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.errors import OAuthRefused, VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.services.oauth import OAuth

# What is answered to a request from an address.
Answering = Callable[["OAuth", Request, str], Awaitable[Response]]


async def answered(
    desk: Desk, request: Request, answering: Answering, refused: Callable[[VelError], Response]
) -> Response:
    """As `answering` has it, or, where that cannot be, as `refused` tells why."""
    address = address_of(request.scope)
    try:
        oauth = (await desk.product()).oauth
        try:
            return await answering(oauth, request, address)
        except OAuthRefused as refusal:
            await oauth.note_refusal(refusal, address)
            raise
    except VelError as problem:
        return refused(problem)
