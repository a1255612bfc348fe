"""`/oauth/authorize`: somebody signs in, sees who wants to come in as them, and allows or denies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from vel_tutor_mcp.auth.oauth import Asked, destination, source
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.oauth.answering import answered
from vel_tutor_mcp.doors.oauth.browser import Cookie, form_token, is_form_of, new_session
from vel_tutor_mcp.doors.oauth.forms import form_of, sent
from vel_tutor_mcp.doors.oauth.pages import page
from vel_tutor_mcp.doors.reply import answer_to, sentence
from vel_tutor_mcp.errors import OAuthRefused, TooManyTries, Unauthenticated, VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.services.oauth import OAuth

# RFC 9700, section 4.12: with 307 the browser would send the form, password and all, on to the client.
_SEE_OTHER = 303
_STALE = "The form was not taken; it was open for too long, or in another window; fill it in once more."


@dataclass(frozen=True, slots=True)
class Authorize:
    """The page of the server at `url`."""

    desk: Desk
    url: str

    async def answer(self, request: Request) -> Response:
        return await answered(self.desk, request, self._answered, _refused)

    async def _answered(self, oauth: "OAuth", request: Request, address: str) -> Response:
        query = sent(request.url.query)
        asked = await oauth.asked(query.values, query.resources, address)
        visit = _Visit(oauth, request, asked, Cookie(self.url), self.url, address)
        return await (visit.sent() if request.method == "POST" else visit.shown())


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request of a browser, on behalf of a client whose own request is in order."""

    oauth: "OAuth"
    request: Request
    asked: Asked
    cookie: Cookie
    url: str
    address: str

    async def shown(self) -> Response:
        """The page that is next: to decide on, for who is signed in, else to sign in on."""
        session = self.cookie.of(self.request)
        person = await self.oauth.visitor(session) if session else None
        if session is None or person is None:
            return self._sign_in()
        return page(
            "consent",
            200,
            leads_to=source(self.asked.redirect_uri),
            client=self.asked.client,
            person=person,
            destination=destination(self.asked.redirect_uri),
            redirect_uri=self.asked.redirect_uri,
            action=self._here,
            form=form_token(session, self.asked),
        )

    async def sent(self) -> Response:
        form = (await form_of(self.request)).values
        session = self.cookie.of(self.request)
        # Before anything in it is looked at: a page of another site could sign its visitors in here as somebody else.
        if session is None or not is_form_of(form.get("form", ""), session, self.asked):
            await self.oauth.note_refusal(OAuthRefused("invalid_request", _STALE), self.address)
            return self._sign_in(400, _STALE)
        try:
            if "decision" in form:
                return await self._decided(session, allowed=form["decision"] == "allow")
            return await self._signed_in(form)
        except (Unauthenticated, TooManyTries) as problem:
            again = self._sign_in(answer_to(problem).status, sentence(problem), form.get("email", ""))
            return _with_wait(again, problem)

    async def _signed_in(self, form: Mapping[str, str]) -> Response:
        """To the next page, with a session that nobody knew before."""
        session = await self.oauth.sign_in(form.get("email", ""), form.get("password", ""), self.address)
        response = RedirectResponse(self._here, _SEE_OTHER, {"cache-control": "no-store"})
        self.cookie.set(response, session)
        return response

    async def _decided(self, session: str, *, allowed: bool) -> Response:
        """To the client, with a code or without; by `iss` it can tell which server has answered (RFC 9207)."""
        if allowed:
            told = {"code": await self.oauth.allow(session, self.asked, self.address)}
        else:
            await self.oauth.deny(session, self.asked, self.address)
            told = {"error": "access_denied"}
        told |= {"iss": self.url} | ({"state": self.asked.state} if self.asked.state is not None else {})
        uri = self.asked.redirect_uri
        to = f"{uri}{'&' if '?' in uri else '?'}{urlencode(told)}"
        # Starlette's RedirectResponse would quote the address anew, which must be the one that the client named.
        response = Response(status_code=_SEE_OTHER, headers={"location": to, "cache-control": "no-store"})
        self.cookie.remove(response)
        return response

    def _sign_in(self, status: int = 200, wrong: str = "", email: str = "") -> Response:
        session = self.cookie.of(self.request) or new_session()
        response = page(
            "sign_in",
            status,
            client=self.asked.client,
            action=self._here,
            form=form_token(session, self.asked),
            wrong=wrong,
            email=email,
        )
        self.cookie.set(response, session)
        return response

    @property
    def _here(self) -> str:
        return f"{self.request.url.path}?{self.request.url.query}"


def _refused(problem: VelError) -> Response:
    return _with_wait(page("refused", answer_to(problem).status, wrong=sentence(problem)), problem)


def _with_wait(response: Response, problem: VelError) -> Response:
    if isinstance(problem, TooManyTries):
        response.headers["retry-after"] = str(problem.retry_after)
    return response
