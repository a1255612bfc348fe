"""One vendor's client against a real server over TCP: what is sent, what comes back, and how each failure is told."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from planted import key
from pydantic import SecretStr
from same import vendor
from server import soon

from vel_tutor_mcp.errors import ConfigurationError, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Timeouts
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.providers.outbound import trusted_by_default
from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.vendors import providers_of
from vel_tutor_mcp.settings import Settings

pytestmark = pytest.mark.anyio

KEY = key("my-very-own")
AMPLE = Timeouts(connect=5, first_token=5, between_tokens=5, total=10)
ENDLESS = Timeouts(connect=99, first_token=99, between_tokens=99, total=99)
ASK = ChatRequest(model="llama", system="", prompt="How many?", max_output_tokens=50, timeouts=AMPLE)


@pytest.fixture
async def sim() -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider("groq", answer=lambda _: "There are four of them") as provider:
        yield provider


@pytest.fixture
async def groq(sim: SimulatedProvider) -> AsyncIterator[OpenAICompatible]:
    client = OpenAICompatible("groq", sim.base_url, KEY, limit_name="max_completion_tokens")
    yield client
    await client.close()


async def answer(client: OpenAICompatible, request: ChatRequest = ASK) -> Completion:
    async with asyncio.timeout(10):
        return await client.complete(request, lambda _: None)


async def failure(client: OpenAICompatible, request: ChatRequest = ASK) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await answer(client, request)
    return failed.value


async def until_all_ended(sim: SimulatedProvider) -> None:
    await soon(sim.until(lambda sim: sim.open == 0), 5)


async def test_a_stream_arrives_piece_by_piece_with_its_usage(groq: OpenAICompatible) -> None:
    pieces: list[str] = []

    completion = await groq.complete(ASK, pieces.append)

    assert pieces == ["There", " are", " four", " of", " them"]
    assert completion.text == "There are four of them"
    assert (completion.finish_reason, completion.served_model) == ("stop", "llama")
    assert (completion.tokens_in, completion.tokens_out, completion.tokens_cached) == (3, 5, 0)
    assert completion.first_token_ms is not None
    assert 0 <= completion.first_token_ms <= completion.total_ms


async def test_a_whole_answer_is_one_piece_without_a_first_token(groq: OpenAICompatible) -> None:
    pieces: list[str] = []

    completion = await groq.complete(replace(ASK, stream=False), pieces.append)

    assert pieces == [completion.text] == ["There are four of them"]
    assert (completion.tokens_in, completion.tokens_out) == (3, 5)
    assert completion.first_token_ms is None


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_in_an_answer_are_not_of_it(
    sim: SimulatedProvider, groq: OpenAICompatible, stream: bool
) -> None:
    sim.answer = lambda _: '<think>\nWho is asking?\n</think>\n\n{"count": 4} <think>'
    pieces: list[str] = []

    completion = await groq.complete(replace(ASK, stream=stream), pieces.append)

    assert completion.text == "".join(pieces) == '{"count": 4} <think>'
    assert (completion.first_token_ms is not None) == stream


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_cut_in_its_thoughts_is_an_empty_one(
    sim: SimulatedProvider, groq: OpenAICompatible, stream: bool
) -> None:
    sim.answer = lambda _: "<think> Who is asking? </think> You."

    completion = await answer(groq, replace(ASK, stream=stream, max_output_tokens=3))

    assert (completion.text, completion.finish_reason, completion.tokens_out) == ("", "length", 3)


async def test_an_answer_that_might_have_become_thoughts_is_whole(
    sim: SimulatedProvider, groq: OpenAICompatible
) -> None:
    sim.answer = lambda _: "<thin"

    assert (await answer(groq)).text == "<thin"


async def test_a_whole_answer_to_a_request_for_a_stream_is_understood(
    sim: SimulatedProvider, groq: OpenAICompatible
) -> None:
    sim.always = Fault(kind="not_streamed")

    assert (await answer(groq)).text == "There are four of them"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_answer_is_unpacked(sim: SimulatedProvider, groq: OpenAICompatible, stream: bool) -> None:
    sim.compressed = True

    assert (await answer(groq, replace(ASK, stream=stream))).text == "There are four of them"


async def test_calls_one_after_another_share_a_connection(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    await answer(groq)
    (first,) = sim.connections
    await answer(groq)

    assert sim.connections == {first}


async def test_a_client_made_in_a_thread_works_in_the_loop(sim: SimulatedProvider) -> None:
    client = await asyncio.to_thread(OpenAICompatible, "groq", sim.base_url, KEY)

    assert (await answer(client)).text == "There are four of them"
    await client.close()


async def test_only_what_was_asked_for_is_sent(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    await answer(groq)

    assert sim.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert sim.requests[0].body == {
        "model": "llama",
        "messages": [{"role": "user", "content": "How many?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 50,
    }


async def test_a_vendor_that_refuses_to_be_asked_for_usage_is_not_asked(sim: SimulatedProvider, tmp_path: Path) -> None:
    catalog = Catalog.load({"providers": {"groq": {"stream_usage": False}}})
    settings = Settings(home=tmp_path, groq_api_key=SecretStr(KEY), groq_base_url=sim.base_url)
    client = providers_of(settings, catalog)["groq"]

    assert (await answer(client)).text == "There are four of them"
    await client.close()

    assert "stream_options" not in sim.requests[0].body


async def test_system_temperature_and_schema_are_sent_when_set(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}

    await answer(groq, replace(ASK, system="Be brief.", temperature=0.0, response_schema=schema, stream=False))

    sent = sim.requests[0].body
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["temperature"] == 0
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert "stream_options" not in sent


@pytest.mark.parametrize(
    ("name", "limit"),
    [("openai", "max_completion_tokens"), ("perplexity", "max_tokens"), ("local", "max_tokens")],
)
async def test_the_token_limit_has_the_name_that_the_vendor_knows(
    sim: SimulatedProvider, name: str, limit: str
) -> None:
    client = OpenAICompatible(name, sim.base_url, None, limit_name=limit)

    completion = await answer(client, replace(ASK, max_output_tokens=2))
    await client.close()

    assert sim.requests[0].body[limit] == 2
    assert sim.requests[0].headers["authorization"] == "Bearer none"
    assert (completion.text, completion.finish_reason) == ("There are", "length")


async def test_openai_account_variables_reach_openai_alone(
    sim: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Token: secret\nAuthorization: Bearer of-another")

    for name in ("openai", "groq"):
        client = OpenAICompatible(name, sim.base_url, KEY)
        await answer(client)
        await client.close()

    to_openai, to_groq = (request.headers for request in sim.requests)
    assert to_openai["openai-organization"] == "org-mine"
    assert not {"openai-organization", "x-gateway-token"} & set(to_groq)
    assert to_groq["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.BAD_REQUEST),
        (401, FailureKind.AUTHENTICATION),
        (404, FailureKind.NOT_FOUND),
        (408, FailureKind.TIMEOUT),
        (409, FailureKind.SERVER_ERROR),
        (429, FailureKind.RATE_LIMITED),
        (503, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal_tells_status_kind_and_wait_and_is_not_repeated(
    sim: SimulatedProvider, groq: OpenAICompatible, status: int, kind: FailureKind
) -> None:
    sim.always = Fault(kind="status", status=status, retry_after=7, message="No, thanks.")

    failed = await failure(groq)

    assert (failed.kind, failed.status, failed.retry_after, failed.partial) == (kind, status, 7, "")
    assert str(failed).startswith(f"groq/llama failed; it answered {status}: No, thanks; ")
    assert len(sim.requests) == 1


async def test_an_account_without_credit_is_told_to_add_some(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    sim.always = Fault(kind="status", status=429, code="insufficient_quota", message="You exceeded your quota.")

    failed = await failure(groq)

    assert failed.kind is FailureKind.AUTHENTICATION
    assert "add credit" in str(failed)


UNMATCHED = """{"error": {"message": "Generated JSON does not match the expected schema.",
    "code": "json_validate_failed", "failed_generation": "{\\"nam\\": 1}"}}"""


@pytest.mark.parametrize(
    ("answered", "kind_of_body"),
    [
        (f"400 Bad Request\n{UNMATCHED}", "application/json"),
        (f"200 OK\nevent: error\ndata: {UNMATCHED}\n\n".replace(",\n ", ","), "text/event-stream"),
    ],
    ids=["refused", "in a stream"],
)
async def test_an_answer_that_the_vendor_finds_no_match_can_be_corrected(answered: str, kind_of_body: str) -> None:
    async with vendor(answered, **{"Content-Type": kind_of_body}) as groq:
        client = OpenAICompatible("groq", groq, KEY)

        failed = await failure(client)
        await client.close()

    assert (failed.kind, failed.partial, failed.billable) == (FailureKind.INVALID_OUTPUT, '{"nam": 1}', True)
    assert "Generated JSON does not match the expected schema; simplify the schema" in str(failed)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("malformed", FailureKind.MALFORMED),
        ("error_event", FailureKind.SERVER_ERROR),
        ("reset", FailureKind.CONNECTION),
        ("cut", FailureKind.CONNECTION),
        ("empty", FailureKind.MALFORMED),
    ],
)
async def test_an_answer_that_goes_wrong_keeps_its_beginning(
    sim: SimulatedProvider, groq: OpenAICompatible, stream: bool, fault: str, kind: FailureKind
) -> None:
    sim.always = Fault(kind=fault, after_chunks=2)  # type: ignore[arg-type]  # parametrised over the literals

    failed = await failure(groq, replace(ASK, stream=stream))

    broken_off = stream and fault != "empty"
    assert (failed.kind, failed.status) == (kind, None)
    assert failed.partial == ("There are" if broken_off else "")
    assert (failed.first_token_ms is not None) == broken_off


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_finishes_as_an_error_is_none(
    sim: SimulatedProvider, groq: OpenAICompatible, stream: bool
) -> None:
    sim.always = Fault(kind="finish", code="error", after_chunks=2)

    failed = await failure(groq, replace(ASK, stream=stream))

    assert (failed.kind, failed.partial) == (FailureKind.SERVER_ERROR, "There are")


@pytest.mark.parametrize("after_chunks", [None, 0])
async def test_a_reset_before_the_first_token_is_a_connection_failure(
    sim: SimulatedProvider, groq: OpenAICompatible, after_chunks: int | None
) -> None:
    sim.always = Fault(kind="reset", after_chunks=after_chunks)

    failed = await failure(groq)

    assert (failed.kind, failed.partial, failed.first_token_ms) == (FailureKind.CONNECTION, "", None)


@pytest.mark.parametrize("fault", ["cut", "reset", "stall", "malformed", "error_event"])
async def test_an_answer_that_is_finished_stands_whatever_follows(
    sim: SimulatedProvider, groq: OpenAICompatible, fault: str
) -> None:
    sim.always = Fault(kind=fault, after_chunks=6)  # type: ignore[arg-type]  # parametrised over the literals

    completion = await answer(groq, replace(ASK, timeouts=replace(AMPLE, between_tokens=0.1)))

    assert (completion.text, completion.finish_reason) == ("There are four of them", "stop")
    assert completion.tokens_out is None


@pytest.mark.parametrize(
    "base_url",
    [row.base_url for row in Catalog.load().providers.values()]
    + ["http://127.0.0.1:7801", "http://127.0.0.1:7801/", "http://127.0.0.1:7801/v1/"],
)
async def test_calls_go_to_the_host_and_port_of_the_base_url_below_its_path(base_url: str) -> None:
    client = OpenAICompatible("groq", base_url, KEY)

    connection = await client.connected()
    await client.close()

    base = base_url.rstrip("/")
    called = [str(connection.completions), str(connection.models)]
    assert called == [f"{base}/chat/completions", f"{base}/models"]


async def test_an_address_where_nobody_listens_is_a_connection_failure() -> None:
    async with SimulatedProvider("gone") as gone:
        url = gone.base_url
    client = OpenAICompatible("groq", url, KEY)

    failed = await failure(client)
    await client.close()

    assert (failed.kind, failed.status) == (FailureKind.CONNECTION, None)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:1"),
        ("HTTPS_PROXY", "ftp://me:secret@127.0.0.1:1"),
        ("HTTP_PROXY", "http://me:secret@[::bad"),
        ("SSL_CERT_FILE", "/gone/with/secret.pem"),
    ],
)
async def test_what_the_environment_names_and_cannot_be_used_is_told_and_says_nothing_of_the_vendor(
    sim: SimulatedProvider, groq: OpenAICompatible, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    trusted_by_default.cache_clear()

    told = [await failure(groq), await failure(groq)]

    assert {(one.kind, one.billable, one.telling) for one in told} == {(FailureKind.CONNECTION, False, False)}
    assert variable in str(told[0])
    assert "secret" not in "".join(traceback.format_exception(told[0]))
    assert sim.requests == []


async def test_a_proxy_that_refuses_has_kept_the_call_from_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with vendor("407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        client = OpenAICompatible("groq", "https://groq.example/v1", KEY)

        failed = await failure(client)
        await client.close()

    assert (failed.kind, failed.billable) == (FailureKind.CONNECTION, False)
    assert "407 Proxy Authentication Required; check the network, the proxy" in str(failed)


async def test_a_wrong_model_is_reported_as_served(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    sim.always = Fault(kind="wrong_model")

    assert (await answer(groq)).served_model == "not-llama"


@pytest.mark.parametrize(
    ("fault", "limits", "sentence", "partial"),
    [
        (Fault(kind="stall"), {"first_token": 0.1}, "more than 0.1 s for the first token", ""),
        (Fault(kind="stall", after_chunks=0), {"first_token": 0.1}, "0.1 s for the first token", ""),
        (Fault(kind="heartbeats"), {"first_token": 0.2, "between_tokens": 0.1}, "0.2 s for the first token", ""),
        (Fault(kind="reasoning"), {"first_token": 0.2, "between_tokens": 0.15}, "0.2 s for the first token", ""),
        (Fault(kind="stall", after_chunks=2), {"between_tokens": 0.1}, "0.1 s for the next token", "There are"),
        (
            Fault(kind="heartbeats", after_chunks=2),
            {"between_tokens": 0.25, "total": 0.3},
            "0.3 s for the end",
            "There are",
        ),
        (
            Fault(kind="reasoning", after_chunks=2),
            {"between_tokens": 0.25, "total": 0.3},
            "0.3 s for the end",
            "There are",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_each_wait_has_its_own_limit(
    sim: SimulatedProvider, groq: OpenAICompatible, fault: Fault, limits: dict[str, float], sentence: str, partial: str
) -> None:
    await answer(groq)  # to connect is not what takes the time
    sim.always = fault

    failed = await failure(groq, replace(ASK, timeouts=replace(AMPLE, **limits)))

    assert failed.kind is FailureKind.TIMEOUT
    assert sentence in str(failed)
    assert failed.partial == partial
    await until_all_ended(sim)
    assert [request.closed_early for request in sim.requests] == [False, True]


async def test_thoughts_in_an_answer_are_no_first_token(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    await answer(groq)  # to connect is not what takes the time
    sim.answer = lambda _: "<think>" + " Hm." * 50
    sim.tokens_per_second = 50

    failed = await failure(groq, replace(ASK, timeouts=replace(AMPLE, first_token=0.2)))

    assert failed.kind is FailureKind.TIMEOUT
    assert "more than 0.2 s for the first token" in str(failed)
    assert failed.partial == ""


async def test_a_whole_answer_may_take_longer_than_a_first_token(
    sim: SimulatedProvider, groq: OpenAICompatible
) -> None:
    sim.latency = 0.15

    completion = await answer(groq, replace(ASK, stream=False, timeouts=replace(AMPLE, first_token=0.05)))

    assert completion.total_ms >= 150


async def test_waiting_for_a_connection_has_the_limit_of_connecting(sim: SimulatedProvider) -> None:
    client = OpenAICompatible("groq", sim.base_url, KEY, max_connections=1)
    sim.faults.append(Fault(kind="stall"))
    busy = asyncio.create_task(client.complete(replace(ASK, timeouts=ENDLESS), lambda _: None))
    await soon(sim.until(lambda sim: sim.open == 1))

    failed = await failure(client, replace(ASK, timeouts=replace(AMPLE, connect=0.1)))

    assert failed.kind is FailureKind.TIMEOUT
    assert "more than 0.1 s for a connection" in str(failed)
    busy.cancel()
    await asyncio.wait([busy], timeout=5)
    await client.close()


@pytest.mark.parametrize("after_chunks", [None, 0, 3])
async def test_cancelling_a_call_closes_its_connection_at_once(
    sim: SimulatedProvider, groq: OpenAICompatible, after_chunks: int | None
) -> None:
    sim.always = Fault(kind="stall", after_chunks=after_chunks)
    call = asyncio.create_task(groq.complete(replace(ASK, timeouts=ENDLESS), lambda _: None))
    await soon(sim.until(lambda sim: sim.open == 1 and sim.requests[0].chunks_sent == (after_chunks or 0)))

    call.cancel()
    await soon(sim.until(lambda sim: sim.open == 0), 5)

    assert sim.requests[0].closed_early
    await asyncio.wait([call], timeout=5)
    assert call.cancelled()


async def test_what_the_callers_callback_raises_is_the_callers(groq: OpenAICompatible) -> None:
    def refuse(_: str) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await groq.complete(ASK, refuse)


@pytest.mark.parametrize("kind", ["status", "error_event"])
async def test_no_key_is_shown_whatever_the_provider_says(
    sim: SimulatedProvider, groq: OpenAICompatible, kind: str
) -> None:
    told = f"Incorrect API key {KEY}; also sk-proj-abcdefgh,\r\n\x1b[31m Bearer {KEY} " + "and so on " * 50
    sim.always = Fault(kind=kind, status=401, message=told)  # type: ignore[arg-type]  # parametrised over the literals

    failed = await failure(groq)

    shown = "".join(traceback.format_exception(failed)) + repr(failed) + repr(groq)
    assert KEY not in shown
    assert "sk-proj" not in shown
    assert str(failed).isprintable()
    assert len(str(failed)) < 350


@pytest.mark.parametrize("key", ["with\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        OpenAICompatible("groq", "http://127.0.0.1:1/v1", key)

    assert key not in str(refused.value)


async def test_models_are_listed(sim: SimulatedProvider, groq: OpenAICompatible) -> None:
    sim.models = ("llama", "gemma")

    assert await groq.list_models() == ("llama", "gemma")


async def test_listing_models_where_there_is_no_such_address_says_so(sim: SimulatedProvider) -> None:
    client = OpenAICompatible("local", f"{sim.base_url}/nowhere", None)

    with pytest.raises(ProviderError, match="local failed; it answered 404") as failed:
        await client.list_models()
    await client.close()

    assert failed.value.kind is FailureKind.NOT_FOUND


async def test_as_many_calls_are_open_at_once_as_tasks_may_run(sim: SimulatedProvider, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, concurrency=110, groq_api_key=SecretStr(KEY), groq_base_url=sim.base_url)
    client = providers_of(settings, Catalog.load())["groq"]
    sim.always = Fault(kind="stall")

    endless = replace(ASK, timeouts=ENDLESS)
    calls = [asyncio.create_task(client.complete(endless, lambda _: None)) for _ in range(110)]
    async with asyncio.timeout(20):
        await sim.until(lambda sim: sim.open == 110)

    for call in calls:
        call.cancel()
    await asyncio.wait(calls, timeout=5)
    await client.close()
