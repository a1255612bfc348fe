"""The simulated provider as the plain SDK and a plain socket see it: it must be as strict as a vendor."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema
import openai
import pytest
from server import soon

from vel_tutor_mcp.providers.simulated import Fault, RateLimit, SimulatedProvider
from vel_tutor_mcp.providers.simulated_answers import duration, example

pytestmark = pytest.mark.anyio

HELLO: list[Any] = [{"role": "user", "content": "Hello, you!"}]


@pytest.fixture
async def sim() -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider("groq") as provider:
        yield provider


@pytest.fixture
async def sdk(sim: SimulatedProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="x", base_url=sim.base_url, max_retries=0, timeout=5) as client:
        yield client


async def test_the_sdk_reads_an_answer_that_says_it_is_simulated(sdk: openai.AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(model="llama", messages=HELLO)

    completion = raw.parse()
    text = completion.choices[0].message.content or ""
    assert raw.headers["x-simulated"] == "1"
    assert text.startswith("[simulated groq/llama] ")
    assert completion.usage
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, len(text.split()))


async def test_the_sdk_reads_a_stream_with_the_same_text(sdk: openai.AsyncOpenAI) -> None:
    whole = await sdk.chat.completions.create(model="llama", messages=HELLO)
    stream = await sdk.chat.completions.create(
        model="llama", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )

    chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert [c.usage for c in chunks if c.usage] == [whole.usage]
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_usage_is_streamed_only_on_request(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="llama", messages=HELLO, stream=True)

    assert not [chunk async for chunk in stream if chunk.usage]


async def test_requests_are_recorded(sim: SimulatedProvider, sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="llama", messages=HELLO, stream=True, temperature=0.5)
    pieces = [chunk async for chunk in stream if chunk.choices and chunk.choices[0].delta.content]

    (received,) = sim.requests
    assert (received.model, received.prompt, received.body["temperature"]) == ("llama", "Hello, you!", 0.5)
    assert received.headers["authorization"] == "Bearer x"
    assert (received.closed_early, received.chunks_sent) == (False, len(pieces))
    assert received.ended is not None
    assert received.ended >= received.started
    sim.reset()
    assert (sim.requests, sim.open) == ([], 0)


async def test_the_token_limit_cuts_the_answer(sdk: openai.AsyncOpenAI) -> None:
    completion = await sdk.chat.completions.create(model="llama", messages=HELLO, max_tokens=2)

    assert completion.choices[0].message.content == "[simulated groq/llama]"
    assert completion.choices[0].finish_reason == "length"


async def test_an_answer_of_ones_own_is_given() -> None:
    async with (
        SimulatedProvider("openai", answer=lambda body: body["messages"][-1]["content"][::-1]) as sim,
        openai.AsyncOpenAI(api_key="x", base_url=sim.base_url) as sdk,
    ):
        completion = await sdk.chat.completions.create(model="m", messages=HELLO)

    assert completion.choices[0].message.content == "!uoy ,olleH"


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a", "c"]},
    {"type": "array", "items": {"type": "number", "minimum": 2}, "minItems": 3},
    {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["x", "y"]}, "none": {"type": "null"}},
    },
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 3}, "c": {"const": 7}}},
    {"type": "object", "properties": {"p": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}}},
    {
        "type": "object",
        "properties": {"s": {"type": "string", "minLength": 20}, "t": {"type": "string", "maxLength": 3}},
    },
    {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {
        "$defs": {
            "node": {"type": "object", "properties": {"next": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
        },
        "$ref": "#/$defs/node",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_schema_is_satisfied_and_with_the_fault_it_is_not(
    sim: SimulatedProvider, sdk: openai.AsyncOpenAI, schema: dict[str, Any]
) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    sim.fault_for = {"bad": Fault(kind="bad_schema")}

    good, bad = [
        await sdk.chat.completions.create(model=model, messages=HELLO, response_format=wanted)
        for model in ("good", "bad")
    ]

    jsonschema.validate(json.loads(good.choices[0].message.content or ""), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(bad.choices[0].message.content or ""), schema)


def test_an_example_is_the_same_each_time() -> None:
    assert [example(schema) for schema in SCHEMAS] == [example(schema) for schema in SCHEMAS]


async def test_models_are_listed_and_other_addresses_refused(sdk: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in sdk.models.list()] == ["simulated-large", "simulated-small"]
    with pytest.raises(openai.NotFoundError):
        await sdk.embeddings.create(model="m", input="x")


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
async def test_a_body_that_is_no_object_is_refused(sim: SimulatedProvider, body: bytes) -> None:
    async with httpx2.AsyncClient() as client:
        response = await client.post(f"{sim.base_url}/chat/completions", content=body)

    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_what_is_not_http_closes_the_connection(sim: SimulatedProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    writer.write(b"\x16\x03\x01 not http\r\n\r\n")

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_faults_are_used_up_first_then_those_of_the_model_then_the_standing_one(
    sim: SimulatedProvider, sdk: openai.AsyncOpenAI
) -> None:
    sim.faults = [Fault(kind="status", status=401)]
    sim.fault_for = {"llama": Fault(kind="status", status=404)}
    sim.always = Fault(kind="status", status=429, retry_after=3, message="Slow down.", code="rate_limit_exceeded")
    seen = []

    for model in ("llama", "llama", "gemma"):
        with pytest.raises(openai.APIStatusError) as refused:
            await sdk.chat.completions.create(model=model, messages=HELLO)
        seen.append(refused.value)

    assert [error.status_code for error in seen] == [401, 404, 429]
    assert seen[2].response.headers["retry-after"] == "3"
    assert (seen[2].code, "Slow down." in seen[2].message) == ("rate_limit_exceeded", True)


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="stall"), Fault(kind="stall", after_chunks=0), Fault(kind="stall", after_chunks=2), None],
    ids=["before headers", "before the first token", "in the stream", "during the latency"],
)
async def test_a_client_that_leaves_is_noticed_at_once(sim: SimulatedProvider, fault: Fault | None) -> None:
    sim.always, sim.latency = fault, 0.0 if fault else 60.0
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    wanted = (fault and fault.after_chunks) or 0
    await soon(sim.until(lambda sim: sim.open == 1 and sim.requests[0].chunks_sent == wanted))

    writer.close()
    async with asyncio.timeout(5):  # by itself its answer would never end
        await sim.until(lambda sim: sim.open == 0)

    assert sim.requests[0].closed_early
    await writer.wait_closed()


async def test_tokens_come_at_the_pace_asked_for(sim: SimulatedProvider, sdk: openai.AsyncOpenAI) -> None:
    sim.latency, sim.tokens_per_second, sim.answer = 0.05, 100, lambda _: "one two three four five six"

    await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)
    await soon(sim.until(lambda sim: sim.open == 0), 5)

    received = sim.requests[0]
    assert received.ended is not None
    assert received.ended - received.started >= 0.1


async def test_rate_limits_are_announced_and_kept() -> None:
    async with (
        SimulatedProvider("groq", rate_limit=RateLimit(requests=2, tokens=1000, seconds=90)) as sim,
        openai.AsyncOpenAI(api_key="x", base_url=sim.base_url, max_retries=0) as sdk,
    ):
        answers = [await sdk.chat.completions.with_raw_response.create(model="m", messages=HELLO) for _ in range(2)]
        with pytest.raises(openai.RateLimitError) as refused:
            await sdk.chat.completions.create(model="m", messages=HELLO)

    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0"]
    assert answers[0].headers["x-ratelimit-limit-tokens"] == "1000"
    assert answers[0].headers["x-ratelimit-reset-tokens"].startswith("1m")
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 90


@pytest.mark.parametrize(("seconds", "text"), [(0.02, "20ms"), (1.5, "1.5s"), (90, "1m30s"), (360, "6m0s")])
def test_durations_read_as_in_rate_limit_headers(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_it_runs_by_itself() -> None:
    command = [sys.executable, "-m", "vel_tutor_mcp.providers.simulated", "--name", "openai"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr
    try:
        async with asyncio.timeout(60), httpx2.AsyncClient() as client:
            base_url = (await process.stderr.readline()).decode().strip()
            response = await client.get(f"{base_url}/models")
    finally:
        process.kill()
        await process.communicate()

    assert response.json()["data"][0]["owned_by"] == "openai"


async def test_closing_ends_what_is_in_flight() -> None:
    async with SimulatedProvider("groq") as sim:
        sim.always = Fault(kind="stall", after_chunks=1)
        async with openai.AsyncOpenAI(api_key="x", base_url=sim.base_url, max_retries=0) as sdk:
            stream = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)
            await sim.__aexit__(None, None, None)
            with pytest.raises(openai.APIConnectionError):
                async for _ in stream:
                    pass

    assert sim.open == 0
