"""A vendor that answers on the clock of the running loop, without a socket: the transport under a real provider."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx2
import msgspec
from routing.faults import RETRY_AFTER_SECONDS, Fault, Weather

from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible

_TO_REFUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_STATUS = {Fault.ERROR: 500, Fault.UNAVAILABLE: 503, Fault.LIMITED: 429}
_STREAM = {"content-type": "text/event-stream"}


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one answer: seconds until its first token, seconds from there to its end, tokens that are billed."""

    first_token: float
    rest: float
    tokens_in: int
    tokens_out: int


Paced = Callable[[str, str], Pace]
"""The pace of an answer by model and prompt."""


class Vendor(httpx2.AsyncBaseTransport):
    """Speaks as much of OpenAI's wire as is asked of it."""

    def __init__(self, paced: Paced, weather: Weather | None, seed: str) -> None:
        self._paced = paced
        self._weather = weather
        self._random = Random(f"{seed} waits")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json={"data": []})
        body = msgspec.json.decode(request.content)
        pace = self._paced(body["model"], body["messages"][-1]["content"])
        fault = self._weather.fault(asyncio.get_running_loop().time()) if self._weather else None
        if fault is Fault.REFUSED:
            raise httpx2.ConnectError("connection refused", request=request)
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        if fault in _STATUS:
            return await self._refusal(fault)
        await asyncio.sleep(pace.first_token)
        return httpx2.Response(200, headers=_STREAM, stream=_Answer(pace, breaks=fault is Fault.BREAK))

    async def _refusal(self, fault: Fault) -> httpx2.Response:
        await asyncio.sleep(_TO_REFUSE_SECONDS)
        wait = {"retry-after": str(self._random.choice(RETRY_AFTER_SECONDS))} if fault is Fault.LIMITED else {}
        return httpx2.Response(_STATUS[fault], headers=wait, json={"error": {"message": fault.value}})


class _Answer(httpx2.AsyncByteStream):
    def __init__(self, pace: Pace, *, breaks: bool) -> None:
        self._pace = pace
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = 2 + int(self._pace.rest / _LONGEST_PAUSE_SECONDS)
        for number in range(pieces):
            if self._breaks and number == pieces // 2:
                raise httpx2.ReadError("connection reset")
            yield _event({"choices": [{"delta": {"content": "Simulated. "}}]})
            await asyncio.sleep(self._pace.rest / pieces)
        usage = {"prompt_tokens": self._pace.tokens_in, "completion_tokens": self._pace.tokens_out}
        yield _event({"choices": [{"delta": {"content": "The end."}, "finish_reason": "stop"}], "usage": usage})
        yield b"data: [DONE]\n\n"


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def provider(name: str, paced: Paced, weather: Weather | None, seed: str) -> OpenAICompatible:
    """Our real provider, on such a vendor."""
    vendor = Vendor(paced, weather, f"{seed} {name}")
    made = OpenAICompatible(name, f"http://{name}.invalid/v1", "dummy-key", transport=lambda: vendor)
    # The SDK looks at the platform in a thread before its first request, which no virtual clock can wait for.
    asyncio.run(made.list_models())
    return made
