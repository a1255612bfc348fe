"""CPU of one call to a model: our provider against the plain SDK doing the same, in one process."""

import time
from collections.abc import Awaitable, Callable

from measure import Measurement, Result, compared
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from upstream import upstream

from vel_tutor_mcp.providers.base import ChatRequest, Timeouts
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible

CHUNKS = 100
ROUNDS = 15
CALLS_IN_ROUND = 20
GOAL_STREAMED, GOAL_WHOLE = 0.25, 1.0

_MODEL = "simulated-large"
_PROMPT = "How fast is this? " * 20
_LIMITS = Timeouts(connect=5, first_token=20, between_tokens=15, total=60)


async def results() -> list[Result]:
    with upstream(words=CHUNKS) as base_url:
        ours = OpenAICompatible("openai", base_url, "dummy-key")
        theirs = AsyncOpenAI(base_url=base_url, api_key="dummy-key", max_retries=0)
        try:
            return [
                await compared(
                    f"provider, {CHUNKS} chunks streamed / openai SDK",
                    _cpu_of(lambda: _ours(ours, stream=True)),
                    _cpu_of(lambda: _streamed(theirs)),
                    unit="us CPU",
                    rounds=ROUNDS,
                    goal=GOAL_STREAMED,
                ),
                await compared(
                    "provider, whole answer / openai SDK",
                    _cpu_of(lambda: _ours(ours, stream=False)),
                    _cpu_of(lambda: _whole(theirs)),
                    unit="us CPU",
                    rounds=ROUNDS,
                    goal=GOAL_WHOLE,
                ),
            ]
        finally:
            await ours.close()
            await theirs.close()


def _cpu_of(call: Callable[[], Awaitable[str]]) -> Measurement:
    """Microseconds of this process per call; the answer is checked, outside the clock."""

    async def measure() -> float:
        begun = time.process_time()
        answers = [await call() for _ in range(CALLS_IN_ROUND)]
        took = time.process_time() - begun
        assert {len(answer.split()) for answer in answers} == {CHUNKS}
        return took / CALLS_IN_ROUND * 1e6

    return measure


async def _ours(provider: OpenAICompatible, *, stream: bool) -> str:
    request = ChatRequest(
        model=_MODEL, system="", prompt=_PROMPT, max_output_tokens=CHUNKS, timeouts=_LIMITS, stream=stream
    )
    return (await provider.complete(request, lambda _: None)).text


async def _streamed(client: AsyncOpenAI) -> str:
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
    return "".join(texts)


async def _whole(client: AsyncOpenAI) -> str:
    answer = await client.chat.completions.create(model=_MODEL, messages=_messages(), max_completion_tokens=CHUNKS)
    return answer.choices[0].message.content or ""


def _messages() -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": _PROMPT}]
