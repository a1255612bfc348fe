"""One request to a receiver, by the way out for URLs of users. Nothing that it answers is repeated anywhere."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from vel_tutor_mcp import __version__
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.providers.call import beginning
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.providers.wire import retry_after

_MOST_BYTES = 4096
_HEADERS = {"content-type": "application/json", "user-agent": f"vel-tutor-mcp/{__version__}", "accept": "*/*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`error` says what was wrong, None where it was taken; `status` is None where no answer came.

    `retry_after`: the seconds that the receiver asks to wait; `ms`: how long it took.
    """

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    ms: int = 0


async def post(out: Outbound, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Outcome:
    """Send it, in so many seconds with the answer; nobody is sent on to another address."""
    begun = time.perf_counter()
    try:
        async with (
            # For all of it: the client's own limit is for each read, and a receiver may send a byte at a time.
            asyncio.timeout(seconds),
            httpx2.AsyncClient(transport=out.transport(url), trust_env=False, timeout=seconds) as client,
            client.stream("POST", url, headers={**_HEADERS, **headers}, content=body) as answer,
        ):
            await beginning(answer, _MOST_BYTES)
    except (TimeoutError, httpx2.TimeoutException):
        return Outcome(error=f"no answer within {seconds:g} s", ms=_since(begun))
    except InputError:
        return Outcome(error="its URL may not be called any more", ms=_since(begun))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as problem:
        return Outcome(error=_told(problem), ms=_since(begun))
    status = answer.status_code
    return Outcome(status=status, error=refusal(status), retry_after=retry_after(answer.headers), ms=_since(begun))


def refusal(status: int) -> str | None:
    """What is wrong with an answer; None where it takes the delivery. (Pure.)"""
    if httpx2.codes.is_success(status):
        return None
    if httpx2.codes.is_redirect(status):
        return f"it answered {status}, a redirect, which is not followed: name the address itself"
    if status == HTTPStatus.GONE:
        return "it answered 410: it wants nothing any more"
    return f"it answered {status}"


def _told(problem: Exception) -> str:
    """Without the exception's own words, which may hold the URL, or tell what there is inside the network."""
    match problem:
        case httpx2.ConnectError():
            return "it cannot be reached: no connection, no such name, or an address that is not called"
        case httpx2.TransportError():
            return "the connection broke before the answer was there"
        case _:
            return "its answer is not HTTP"


def _since(begun: float) -> int:
    return round((time.perf_counter() - begun) * 1000)
