"""OpenAI's own client, talking to the gateway of a running server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from planted import PASSWORD
from server import soon
from stores import NewDatabase
from team import UNLIMITED, Team, team
from waits import found

from vel_tutor_mcp.models import AgentConfig, AgentType
from vel_tutor_mcp.providers.simulated import Fault

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True, scope="module")]

HELLO: Any = [{"role": "user", "content": "Say hello"}]
TOOL: Any = {"type": "function", "function": {"name": "f"}}
IMAGE: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:sk-planted"}}]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Team]:
    async with team(tmp_path_factory.mktemp("gateway"), new_database) as made:
        yield made


@pytest.fixture
async def vendors(place: Team) -> AsyncIterator[Any]:
    place.providers.reset()
    yield place.providers
    place.providers.reset()
    for provider in (place.providers.openai, place.providers.groq):
        provider.tokens_per_second = 0


@pytest.fixture(scope="module")
async def client(place: Team) -> AsyncIterator[openai.AsyncOpenAI]:
    account = await place.desk.join()
    me = account.principal
    config = AgentConfig(system_prompt="Answer in rhyme.")
    await place.desk.app.agents.create(me, "poet", AgentType.RESEARCHER, config)
    token = (await place.desk.access.sign_in(str(account.email), PASSWORD, "gateway")).token
    async with openai.AsyncOpenAI(api_key=token, base_url=f"{place.base}/v1", max_retries=0, timeout=40) as client:
        yield client


async def test_auto_answers_with_the_model_that_the_router_chose(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=HELLO, seed=1, user="me")
    assert "Say hello" in str(answer.choices[0].message.content)
    assert (answer.choices[0].finish_reason, answer.model.split("/")[0]) == ("stop", "groq")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_the_models_are_auto_ones_agents_and_those_that_can_be_called(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names[0] == "auto"
    assert {"poet", "default", "openai/gpt-4o-mini"} <= set(names)
    assert not any(name.startswith("perplexity/") for name in names)


async def test_a_model_that_is_named_is_asked(client: openai.AsyncOpenAI, vendors: Any) -> None:
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert answer.model == "openai/gpt-4o-mini"
    assert [request.body["model"] for request in vendors.openai.requests] == ["gpt-4o-mini"]


async def test_what_is_asked_reaches_the_model(client: openai.AsyncOpenAI, vendors: Any) -> None:
    messages: Any = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "One?"}]},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    vendors.openai.always = Fault(kind="status", status=500)  # whoever is asked, it is groq that hears it
    await client.chat.completions.create(model="poet", messages=messages, max_tokens=77, temperature=0.5)
    (sent,) = [request.body for request in vendors.groq.requests]
    assert sent["messages"][0] == {"role": "system", "content": "Answer in rhyme.\n\nBe short."}
    assert sent["messages"][1]["content"].endswith("User: One?\n\nAssistant: Two.\n\nUser: Three?")
    assert sent["temperature"] == 0.5
    assert 77 in sent.values()


async def test_an_answer_comes_while_it_is_written(client: openai.AsyncOpenAI, vendors: Any) -> None:
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second, provider.answer = 50, lambda _: "one two three four five six seven eight nine ten"
    stream = await client.chat.completions.create(
        model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == "one two three four five six seven eight nine ten"
    assert len([piece for piece in pieces if piece]) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_is_cut_says_so_in_the_clients_words(
    client: openai.AsyncOpenAI, vendors: Any, reason: str
) -> None:
    vendors.openai.always = vendors.groq.always = Fault(kind="finish", code=reason, after_chunks=3)
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    reasons = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
    assert [answer.choices[0].finish_reason, reasons[-1]] == [reason, reason]


async def test_who_leaves_a_stream_cancels_the_task(place: Team, client: openai.AsyncOpenAI, vendors: Any) -> None:
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second, provider.answer = 20, lambda _: "word " * 5000
    stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    async for chunk in stream:
        task_id = chunk.id.removeprefix("chatcmpl-")
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    me = place.desk.app.local_principal
    told = await place.desk.app.tasks.follow(me, task_id, 30)
    assert (told.status, bool(told.task.output)) == ("cancelled", True)


async def test_who_leaves_before_a_whole_answer_cancels_the_task_unless_a_key_leads_back_to_it(
    place: Team, client: openai.AsyncOpenAI, vendors: Any
) -> None:
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second, provider.answer = 20, lambda _: "word " * 400
    ask = partial(client.chat.completions.create, model="auto", messages=HELLO)
    tasks, me = place.desk.app.tasks, place.desk.app.local_principal

    task_id = await left(ask(), place)
    assert (await tasks.follow(me, task_id, 10)).status == "cancelled"

    kept = {"Idempotency-Key": "whole"}
    task_id = await left(ask(extra_headers=kept), place)
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second = 0
    again = await ask(extra_headers=kept)
    assert (again.id, again.choices[0].message.content) == (f"chatcmpl-{task_id}", "word " * 400)


async def left(asked: Awaitable[Any], place: Team) -> str:
    """The task of an answer that was not waited for."""
    before = await how_many(place)
    asking = asyncio.ensure_future(asked)
    task_id = await begun_after(place, before)
    asking.cancel()
    await asyncio.wait({asking})
    return task_id


async def test_who_gave_a_key_comes_back_to_the_answer_and_is_told_of_a_cancelled_one(
    place: Team, client: openai.AsyncOpenAI, vendors: Any
) -> None:
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second, provider.answer = 20, lambda _: "word " * 400
    tasks, me = place.desk.app.tasks, place.desk.app.local_principal
    ask = partial(client.chat.completions.create, model="auto", messages=HELLO)

    task_id = await left_stream(ask, "kept")
    assert not (await tasks.follow(me, task_id, 1)).status.ended
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second = 0
    again = await ask(extra_headers={"Idempotency-Key": "kept"})
    assert (again.id, again.choices[0].message.content) == (f"chatcmpl-{task_id}", "word " * 400)

    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second = 20
    await tasks.cancel(me, await left_stream(ask, "cancelled"))
    with pytest.raises(openai.UnprocessableEntityError, match="with another Idempotency-Key"):
        await ask(extra_headers={"Idempotency-Key": "cancelled"})


async def left_stream(ask: Callable[..., Awaitable[Any]], key: str) -> str:
    """The task of a stream that was left after its first words."""
    stream = await ask(stream=True, extra_headers={"Idempotency-Key": key})
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    return str(chunk.id.removeprefix("chatcmpl-"))


async def test_an_answer_that_is_begun_anew_is_not_sent_as_one(client: openai.AsyncOpenAI, vendors: Any) -> None:
    for provider, text in ((vendors.openai, "red"), (vendors.groq, "blue")):
        provider.tokens_per_second, provider.answer = 50, lambda _, text=text: f"{text} " * 10
    vendors.groq.always = Fault(kind="cut", after_chunks=5)
    with pytest.raises(openai.APIError, match="begun anew"):
        async for _ in await client.chat.completions.create(model="openai/gpt-oss-20b", messages=HELLO, stream=True):
            pass


async def test_json_comes_as_the_schema_has_it(client: openai.AsyncOpenAI, vendors: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    for provider in (vendors.openai, vendors.groq):
        provider.answer = lambda _: '{"n": 3}'
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": True}}
    answer = await client.chat.completions.create(model="auto", messages=HELLO, response_format=wanted)
    assert answer.choices[0].message.content == '{"n": 3}'


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "no such model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.BadRequestError, "no message of a user"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"n": 2}, openai.BadRequestError, "n;"),
        ({"messages": [{"role": "user", "content": IMAGE}]}, openai.BadRequestError, "content; only text is taken"),
        ({"messages": [{"role": "user", "content": None}]}, openai.BadRequestError, "content; only text is taken"),
        ({"extra_body": {"sk-planted": 1}}, openai.BadRequestError, "not known"),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_refused_in_the_clients_own_form(
    client: openai.AsyncOpenAI, asked: dict[str, Any], error: type[openai.APIStatusError], told: str
) -> None:
    with pytest.raises(error, match=told) as refused:
        await client.chat.completions.create(**({"model": "auto", "messages": HELLO} | asked))
    assert refused.value.type == "invalid_request_error"
    assert "sk-planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [TOOL]),
        ("tool_choice", "required"),
        ("functions", [TOOL["function"]]),
        ("stop", ["sk-planted"]),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
    ],
    ids=str,
)
async def test_a_field_that_cannot_be_used_is_named(client: openai.AsyncOpenAI, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=f"{field} cannot be used here; .*; leave it out") as refused:
        await client.chat.completions.create(model="auto", messages=HELLO, **{"tool_choice": "auto", field: value})
    assert refused.value.param == field
    assert "sk-planted" not in str(refused.value)


@pytest.mark.parametrize(
    "idle",
    [
        dict.fromkeys(("tools", "tool_choice", "functions", "function_call", "stop", "logprobs", "top_logprobs")),
        dict.fromkeys(("audio", "modalities", "moderation", "web_search_options", "n", "stream", "response_format")),
        {"tools": [], "tool_choice": "none", "functions": [], "function_call": "none", "stop": [], "top_logprobs": 0},
        {"tool_choice": "auto", "parallel_tool_calls": True, "logprobs": False, "modalities": ["text"], "n": 1},
        {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit"}},
    ],
    ids=str,
)
async def test_what_asks_for_nothing_is_no_reason_to_refuse(client: openai.AsyncOpenAI, idle: dict[str, Any]) -> None:
    answer = await client.chat.completions.create(**({"model": "auto", "messages": HELLO} | idle))
    assert "Say hello" in str(answer.choices[0].message.content)


async def test_a_task_that_failed_is_not_bought_again_by_a_client_that_tries_again(
    place: Team, client: openai.AsyncOpenAI, vendors: Any
) -> None:
    vendors.openai.always = vendors.groq.always = Fault(kind="status", status=401)
    before = await how_many(place)
    with pytest.raises(openai.UnprocessableEntityError) as failed:
        await patient(client).chat.completions.create(model="auto", messages=HELLO)
    assert (failed.value.type, await how_many(place)) == ("server_error", before + 1)
    assert failed.value.response.headers["x-should-retry"] == "false"


async def test_a_task_that_was_cancelled_is_not_bought_again_by_a_client_that_tries_again(
    place: Team, client: openai.AsyncOpenAI, vendors: Any
) -> None:
    for provider in (vendors.openai, vendors.groq):
        provider.tokens_per_second, provider.answer = 20, lambda _: "word " * 5000
    before = await how_many(place)
    asking = asyncio.create_task(patient(client).chat.completions.create(model="auto", messages=HELLO))
    await place.desk.app.tasks.cancel(place.desk.app.local_principal, await begun_after(place, before))
    with pytest.raises(openai.UnprocessableEntityError, match="was cancelled"):
        await asking
    assert await how_many(place) == before + 1


async def test_an_answer_that_a_stop_of_the_server_cuts_may_be_asked_for_again_and_its_task_goes_on(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    async with team(tmp_path, new_database, UNLIMITED | {"VEL_TUTOR_CONCURRENCY": "0"}) as place:
        async with place.member() as member:
            body = {"model": "auto", "messages": HELLO}
            asking = asyncio.create_task(member.http.post("/v1/chat/completions", json=body))
            await found(partial(newest, place, 1))
            place.server.terminate()
            reply = await soon(asking)
        assert (reply.status_code, "x-should-retry" in reply.headers) == (503, False)
        assert await newest(place, 1)


def patient(client: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """As the client is by default: it asks again where it may."""
    return client.with_options(max_retries=openai.DEFAULT_MAX_RETRIES)


async def how_many(place: Team) -> int:
    return (await place.desk.app.tasks.list(place.desk.app.local_principal, cursor=0)).total or 0


async def begun_after(place: Team, before: int) -> str:
    """The task behind so many others, once it is in progress."""
    return await found(partial(newest, place, before + 1, "in_progress"))


async def newest(place: Team, count: int, status: str = "pending") -> str | None:
    """The last of so many tasks, if it stands so."""
    page = await place.desk.app.tasks.list(place.desk.app.local_principal, limit=1, cursor=0)
    return page.rows[0].id if page.total == count and page.rows[0].status == status else None


async def test_without_a_token_the_client_is_told_that(place: Team) -> None:
    async with openai.AsyncOpenAI(api_key="sk-wrong", base_url=f"{place.base}/v1", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="auto", messages=HELLO)
