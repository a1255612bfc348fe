"""Small documents of JSON at addresses that strangers name."""

import asyncio
import ssl

import httpx2

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.providers.call import beginning
from vel_tutor_mcp.providers.outbound import Outbound

_SECONDS = 5
# What the draft of client id metadata documents recommends.
_MOST_BYTES = 5 * 1024


async def fetch_document(out: Outbound, url: str, trusted: ssl.SSLContext | None = None) -> bytes:
    """The JSON at this address, by the way out for URLs of users; nothing is followed, and no credential goes along.

    Raises:
        InputError: it is not there, is too long, no JSON, does not come in time, or its address is none that we call.
    """
    out.check(url)
    try:
        async with (
            asyncio.timeout(_SECONDS),
            httpx2.AsyncClient(transport=out.transport(url, trusted), trust_env=False) as client,
            client.stream("GET", url, headers={"accept": "application/json"}) as answer,
        ):
            return await _read(answer)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        raise InputError(
            "The document cannot be read; its server does not answer as it should; try later, or, where this server "
            "has no direct way out, have VEL_TUTOR_CLIENT_DOCUMENTS=false set for it."
        ) from None


async def _read(answer: httpx2.Response) -> bytes:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status_code != httpx2.codes.OK or not (kind == "application/json" or kind.endswith("+json")):
        raise InputError("The document cannot be read; it is not there, or is no JSON; it is answered with status 200.")
    # One more, to see whether there is more.
    content = await beginning(answer, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError(f"The document is not read; it is longer than {_MOST_BYTES:,} bytes; shorten it.")
    return content
