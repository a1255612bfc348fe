"""One look at a vendor: does it answer, does it take the key, what is its time?

It is deliberately deaf to what a refusal says: vendors repeat keys in part.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2

from vel_tutor_mcp.errors import ConfigurationError, ProviderError
from vel_tutor_mcp.providers import wire
from vel_tutor_mcp.providers.call import beginning
from vel_tutor_mcp.providers.environment import by_environment
from vel_tutor_mcp.providers.outbound import Carrier, trusted_by_default

_NO_LIST = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What was seen. `problem` says why there was no answer.

    `models` counts those that it lists, None where it lists none at all; `seconds_ahead` is how far its clock is;
    `asked_to_chat`: it lists none, and was asked for an answer to nothing.
    """

    status: int | None = None
    models: int | None = None
    seconds: float = 0
    seconds_ahead: float | None = None
    problem: str | None = None
    asked_to_chat: bool = False


async def visit(base_url: str, key: str | None, seconds: float) -> Visit:
    """Ask for the list of models, at most so long."""
    return await _asked(base_url, "/models", key, seconds, follow_redirects=True)


async def prove(base_url: str, key: str | None, seconds: float, transport: Carrier | None = None) -> Visit:
    """Ask whether the key is taken, at most so long for each of two questions, neither of which costs anything.

    Who lists no models is sent a chat without a message: that is refused, but a bad key is refused before it. Nobody is
    sent on: the key is for this address alone. `transport` makes what carries the questions instead of the network.
    """
    seen = await _asked(base_url, "/models", key, seconds, transport=transport)
    if seen.status in _NO_LIST:
        sent = {"messages": [], "max_tokens": 1}
        seen = await _asked(base_url, "/chat/completions", key, seconds, sent=sent, transport=transport)
        return replace(seen, asked_to_chat=True)
    return seen


async def _asked(
    base_url: str,
    path: str,
    key: str | None,
    seconds: float,
    *,
    sent: dict[str, Any] | None = None,
    follow_redirects: bool = False,
    transport: Carrier | None = None,
) -> Visit:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    method, begun = "POST" if sent else "GET", time.perf_counter()
    try:
        async with (
            # For all of it: the client's own limits are for each read.
            asyncio.timeout(seconds),
            by_environment(
                lambda: httpx2.AsyncClient(
                    follow_redirects=follow_redirects,
                    timeout=None,
                    verify=trusted_by_default(),
                    transport=transport and transport(),
                )
            ) as client,
            client.stream(method, f"{base_url.rstrip('/')}{path}", headers=headers, json=sent) as response,
        ):
            body = await beginning(response)
    except TimeoutError:
        return Visit(problem=f"no answer within {seconds:g} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ConfigurationError) as problem:
        return Visit(problem=wire.quote(str(problem), key).rstrip(".") or type(problem).__name__)
    return Visit(
        status=response.status_code,
        models=_count(body) if response.is_success else None,
        seconds=time.perf_counter() - begun,
        seconds_ahead=seconds_ahead(response.headers.get("date", ""), datetime.now(UTC)),
    )


def seconds_ahead(date: str, now: datetime) -> float | None:
    """How far the clock that wrote this Date header is ahead of ours; None where it tells no time."""
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()


def _count(body: bytes) -> int | None:
    try:
        return len(wire.decode_models(body))
    except ProviderError:
        return None
