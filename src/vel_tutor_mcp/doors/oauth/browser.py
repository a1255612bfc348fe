"""The browser between its first look at the page and its user's decision: a cookie, and forms that are bound to it."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from vel_tutor_mcp.auth.oauth import Asked

# From the first look to the decision; who takes longer signs in again.
_SECONDS = 600
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Cookie:
    """How the cookie of the server at `url` is called and kept: by browsers only with this host, and never by http
    where there is https.
    """

    url: str

    @property
    def name(self) -> str:
        # Browsers keep this prefix to https, this host and the path / (RFC 6265bis, section 4.1.3.2).
        return "__Host-vel-session" if self._secure else "vel-session"

    def of(self, request: Request) -> str | None:
        """The session that the browser has; it may be nobody's yet."""
        found = request.cookies.get(self.name, "")
        return found if _SESSION.fullmatch(found) else None

    def set(self, response: Response, session: str) -> None:
        response.set_cookie(
            self.name, session, max_age=_SECONDS, path="/", secure=self._secure, httponly=True, samesite="strict"
        )

    def remove(self, response: Response) -> None:
        response.delete_cookie(self.name, path="/", secure=self._secure, httponly=True, samesite="strict")

    @property
    def _secure(self) -> bool:
        return self.url.startswith("https:")


def new_session() -> str:
    return secrets.token_urlsafe(32)


def form_token(session: str, asked: Asked) -> str:
    """What the forms of this session hold, for this request of a client alone: no other page can make them up."""
    request = "\n".join((asked.client.id, asked.redirect_uri, asked.challenge, asked.state or ""))
    return hmac.new(session.encode(), request.encode(), hashlib.sha256).hexdigest()


def is_form_of(token: str, session: str, asked: Asked) -> bool:
    # As bytes: of texts it compares ASCII alone, and this one is a stranger's.
    return secrets.compare_digest(token.encode(), form_token(session, asked).encode())
