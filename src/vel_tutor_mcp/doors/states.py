"""The state of a question to a person, which clients carry from one call to the next: sealed under the installation's
secret key, so that any of its servers, and one that was started anew, takes up what another one has asked.
"""

import base64
import binascii
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import InvalidRequestState, RequestStateSecurity
from mcp_types import INTERNAL_ERROR

from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.services.secret_keys import secret_keys_of
from vel_tutor_mcp.settings import Settings

PURPOSE = "request-state"

_REFUSED = {"reason": "invalid_request_state"}
_INVALID = (
    "The requestState of this call is not taken; it has expired, was changed, or belongs to another call, person or "
    "installation; call again without it, so that the person is asked once more."
)


class States:
    """Seals what the SDK's boundary gives it, which binds it to the call, to who calls and to ten minutes.

    Its methods read a file of one line where the keys are in one, and make it at the first seal of all.
    """

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._secret_keys = secret_keys

    def seal(self, payload: bytes) -> str:
        return base64.urlsafe_b64encode(self._secret_keys.seal(payload, PURPOSE, ())).decode()

    def unseal(self, token: str) -> bytes:
        """What was sealed.

        Raises:
            InvalidRequestState: none of this installation's keys has sealed this.
        """
        try:
            return self._secret_keys.open(base64.b64decode(token, b"-_", validate=True), PURPOSE, ())
        except (binascii.Error, ValueError):
            raise InvalidRequestState("malformed") from None
        except ConfigurationError as problem:
            raise InvalidRequestState(str(problem)) from None


def security(settings: Settings) -> RequestStateSecurity:
    """What every server of the installation agrees upon; nothing is read yet."""
    return RequestStateSecurity(codec=States(secret_keys_of(settings)))


async def worded(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Around the SDK's boundary: what it refuses is told in a sentence."""
    try:
        return await call_next(ctx)
    except MCPError as problem:
        if problem.data == _REFUSED:
            raise MCPError(problem.code, _INVALID, problem.data) from None
        if problem.code == INTERNAL_ERROR and isinstance(problem.__context__, ConfigurationError):
            raise MCPError(problem.code, sentence(problem.__context__)) from None
        raise
