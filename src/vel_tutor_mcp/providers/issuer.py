"""What an outside issuer of tokens publishes: its document, and the keys that this names."""

import asyncio
import json
from typing import Any

import httpx2

from vel_tutor_mcp.errors import ConfigurationError, IssuerAway
from vel_tutor_mcp.providers.call import beginning
from vel_tutor_mcp.providers.environment import by_environment
from vel_tutor_mcp.settings import is_private_way

_DOCUMENT = "/.well-known/openid-configuration"
_MOST_BYTES = 1 << 18


async def published_keys(issuer: str, seconds: float) -> list[Any]:
    """The keys as they stand there, fetched within so long; nobody is sent on.

    Raises:
        IssuerAway: they cannot be had; says why.
    """
    try:
        # For all of it: the client's own limits are for each read, and a byte now and then would keep to them.
        async with (
            asyncio.timeout(seconds),
            by_environment(lambda: httpx2.AsyncClient(timeout=None)) as client,
        ):
            said = await _document(client, f"{issuer.rstrip('/')}{_DOCUMENT}")
            address = said.get("jwks_uri")
            # OpenID Connect Discovery 4.3: else the document of another could name its own keys.
            if said.get("issuer") != issuer:
                raise _away("its document is of another issuer than VEL_TUTOR_OIDC_ISSUER")
            if not isinstance(address, str) or not is_private_way(address):
                raise _away("its document names no https:// address of keys")
            keys = (await _document(client, address)).get("keys")
    except TimeoutError:
        raise _away(f"it did not answer within {seconds:g} s") from None
    except ConfigurationError as problem:
        raise _away(str(problem).rstrip(".")) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as problem:
        raise _away(f"it cannot be reached ({type(problem).__name__})") from None
    if not isinstance(keys, list):
        raise _away("where its keys should be are none")
    return keys


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url, headers={"accept": "application/json"}) as reply:
        if reply.status_code != httpx2.codes.OK:
            raise _away(f"it answered with status {reply.status_code}")
        content = await beginning(reply, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise _away("its answer is too long")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _away("its answer is no JSON object")
    return found


def _away(why: str) -> IssuerAway:
    return IssuerAway(f"The token cannot be checked now; its issuer's keys are not known, for {why}; try again soon.")
