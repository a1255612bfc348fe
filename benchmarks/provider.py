"""CPU of one call to a model: our provider against the plain SDK doing the same, in one process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from measure import Measurement, Result, compared, fewer
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from upstream import upstream

from vel_tutor_mcp.providers.base import ChatRequest, Delta, Timeouts
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible

CHUNKS = 100
ROUNDS = 15
CALLS_IN_ROUND = 20
PACED_ROUNDS = 9
PACED_AT_ONCE = 8
CHUNKS_PER_SECOND = 200
# Where chunks come one by one, the event loop and the socket cost both the same, and more than the rest of ours.
GOAL_BURST, GOAL_PACED, GOAL_WHOLE = 0.25, 0.5, 1.0

_MODEL = "simulated-large"
PROMPT = "How fast is this? " * 20
_LIMITS = Timeouts(connect=5, first_token=20, between_tokens=15, total=60)

Call = Callable[[], Awaitable[str]]


async def results(share: float) -> list[Result]:
    async with clients() as (ours, theirs):
        at_once = [
            await compared(
                f"provider, {CHUNKS} chunks in one burst / openai SDK",
                cpu_of(lambda: ask_ours(ours), at_once=1),
                cpu_of(lambda: streamed(theirs), at_once=1),
                unit="us CPU",
                rounds=fewer(ROUNDS, share),
                goal=GOAL_BURST,
            ),
            await compared(
                "provider, whole answer / openai SDK",
                cpu_of(lambda: ask_ours(ours, stream=False), at_once=1),
                cpu_of(lambda: whole(theirs), at_once=1),
                unit="us CPU",
                rounds=fewer(ROUNDS, share),
                goal=GOAL_WHOLE,
            ),
        ]
    async with clients(CHUNKS_PER_SECOND) as (ours, theirs):
        paced = await compared(
            f"provider, {CHUNKS} chunks at 5 ms each, {PACED_AT_ONCE} at once / openai SDK",
            cpu_of(lambda: ask_ours(ours), at_once=PACED_AT_ONCE),
            cpu_of(lambda: streamed(theirs), at_once=PACED_AT_ONCE),
            unit="us CPU",
            rounds=fewer(PACED_ROUNDS, share),
            goal=GOAL_PACED,
        )
    return [*at_once, paced]


@asynccontextmanager
async def clients(
    tokens_per_second: float = 0, latency: float = 0, at_once: int = 100
) -> AsyncIterator[tuple[OpenAICompatible, AsyncOpenAI]]:
    with upstream(CHUNKS, tokens_per_second, latency) as server:
        ours = OpenAICompatible("openai", server.base_url, "dummy-key", max_connections=at_once)
        theirs = AsyncOpenAI(base_url=server.base_url, api_key="dummy-key", max_retries=0, timeout=_LIMITS.total)
        try:
            yield ours, theirs
        finally:
            await ours.close()
            await theirs.close()


def cpu_of(call: Call, at_once: int) -> Measurement:
    """Microseconds of this process per call; the answer is checked, outside the clock."""

    async def measure() -> float:
        begun = time.process_time()
        if at_once == 1:
            answers = [await call() for _ in range(CALLS_IN_ROUND)]
        else:
            answers = await asyncio.gather(*(call() for _ in range(at_once)))
        took = time.process_time() - begun
        assert {len(answer.split()) for answer in answers} == {CHUNKS}
        return took / len(answers) * 1e6

    return measure


async def ask_ours(provider: OpenAICompatible, on_delta: Delta = lambda _: None, *, stream: bool = True) -> str:
    request = ChatRequest(
        model=_MODEL, system="", prompt=PROMPT, max_output_tokens=CHUNKS, timeouts=_LIMITS, stream=stream
    )
    return (await provider.complete(request, on_delta)).text


async def streamed(client: AsyncOpenAI, on_chunk: Callable[[], None] = lambda: None) -> str:
    texts: list[str] = []
    stream = await client.chat.completions.create(
        model=_MODEL,
        messages=_messages(),
        max_completion_tokens=CHUNKS,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        texts += [choice.delta.content or "" for choice in chunk.choices]
        on_chunk()
    return "".join(texts)


async def whole(client: AsyncOpenAI) -> str:
    answer = await client.chat.completions.create(model=_MODEL, messages=_messages(), max_completion_tokens=CHUNKS)
    return answer.choices[0].message.content or ""


def _messages() -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": PROMPT}]
