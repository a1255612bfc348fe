"""What a call costs from the prompt to the answer, routing included, against the plain SDK that is told its model.

Ours reads the prompt's features, decides over the whole catalog, and goes through router, health and provider; its book
keeps nothing, so that no database is in it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from measure import Measurement, Result, compared, fewer
from openai import AsyncOpenAI
from provider import CHUNKS, PROMPT, ROUNDS, clients, cpu_of, streamed, whole
from routing.product import Product, Unbooked

from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.settings import Settings

CALLERS, LATENCY_SECONDS = 128, 0.2
HERD_ROUNDS = 12
GOAL_BURST, GOAL_WHOLE, GOAL_HERD = 0.4, 1.2, 1.0

# On a busy machine a herd takes longer to connect than any vendor.
_PATIENT = Settings(home=Path.cwd(), connect_timeout_seconds=60, first_token_timeout_seconds=60)

Call = Callable[[], Awaitable[str]]


async def results(share: float) -> list[Result]:
    async with clients() as (ours, theirs):
        cpu = [
            await compared(
                f"routing and provider, {CHUNKS} chunks in one burst / openai SDK",
                cpu_of(_routed(ours, stream=True), at_once=1),
                cpu_of(lambda: streamed(theirs), at_once=1),
                unit="us CPU",
                rounds=fewer(ROUNDS, share),
                goal=GOAL_BURST,
            ),
            await compared(
                "routing and provider, whole answer / openai SDK",
                cpu_of(_routed(ours, stream=False), at_once=1),
                cpu_of(lambda: whole(theirs), at_once=1),
                unit="us CPU",
                rounds=fewer(ROUNDS, share),
                goal=GOAL_WHOLE,
            ),
        ]
    async with clients(latency=LATENCY_SECONDS, at_once=CALLERS) as (ours, theirs):
        return [*cpu, *await _herds(ours, theirs, fewer(HERD_ROUNDS, share))]


async def _herds(ours: OpenAICompatible, theirs: AsyncOpenAI, rounds: int) -> list[Result]:
    kinds: dict[str, tuple[Call, Call]] = {
        "whole answer": (_routed(ours, stream=False), lambda: whole(theirs)),
        f"{CHUNKS} chunks": (_routed(ours, stream=True), lambda: streamed(theirs)),
    }
    return [
        await compared(
            f"{CALLERS} callers at once, {kind}: p50 above {LATENCY_SECONDS * 1000:g} ms / openai SDK",
            _added(routed),
            _added(bare),
            unit="ms",
            rounds=rounds,
            goal=GOAL_HERD,
        )
        for kind, (routed, bare) in kinds.items()
    ]


def _routed(provider: OpenAICompatible, *, stream: bool) -> Call:
    product = Product({"openai": provider}, settings=_PATIENT)

    async def call() -> str:
        answered = await product.answer(product.decide(PROMPT), Unbooked(product, PROMPT, stream))
        assert answered.ended.completion is not None
        return answered.ended.completion.text

    return call


def _added(call: Call) -> Measurement:
    """Milliseconds that the median caller of a herd waited beyond the upstream's own latency."""

    async def one() -> float:
        begun = time.perf_counter()
        await call()
        return time.perf_counter() - begun - LATENCY_SECONDS

    async def measure() -> float:
        return median(await asyncio.gather(*(one() for _ in range(CALLERS)))) * 1000

    return measure
