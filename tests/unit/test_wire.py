"""The wire's bytes, with no connection: any split, any rubbish, any refusal."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers import wire
from vel_tutor_mcp.providers.base import Announced, Limit

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
KEYS = st.sampled_from(
    [
        "choices",
        "delta",
        "message",
        "content",
        "usage",
        "prompt_tokens",
        "error",
        "code",
        "detail",
        "data",
        "id",
        "model",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.text(alphabet='\0\\u0"a'))
def test_a_nul_and_nothing_else_becomes_a_replacement_character(text: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()

    choices = wire.decode_whole(body).choices
    assert choices
    assert choices[0].message
    assert choices[0].message.content == text.replace("\0", "\ufffd")


def decode(*packets: bytes) -> list[bytes]:
    decoder = wire.EventDecoder()
    return [event for packet in packets for event in decoder.feed(packet)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    line = st.sampled_from(
        [
            'data: {"text": "Grüße 🎈"}',
            "data:[DONE]",
            "data: ",
            "data",
            ": heartbeat",
            "event: error",
            "id: 7",
            "",
            "  ",
        ]
    )
    ends = st.sampled_from(["\n", "\r\n"])
    return "".join(draw(st.lists(st.tuples(line, ends).map("".join), max_size=30))).encode()


@given(stream=streams(), places=st.lists(st.integers(min_value=0), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    assert decode(*cut(stream, places)) == decode(stream) == decode(*(bytes([byte]) for byte in stream))


def test_a_character_split_over_packets_arrives_whole() -> None:
    stream = 'data: {"choices": [{"delta": {"content": "Grüße 🎈"}}]}\n\n'.encode()

    (event,) = decode(*(bytes([byte]) for byte in stream))

    choices = wire.decode_chunk(event).choices or []
    assert [choice.delta and choice.delta.content for choice in choices] == ["Grüße 🎈"]


def test_comments_and_other_fields_are_dropped_and_data_lines_are_joined() -> None:
    stream = b": hello\r\n\r\nevent: x\ndata: one\ndata:  two\ndata\n\n\n\ndata: [DONE]\n\ndata: no end"

    assert decode(stream) == [b"one\n two", b"[DONE]"]


@pytest.mark.parametrize("packet", [b"x" * 65_536, b"data: " + b"x" * 65_530 + b"\n"], ids=["one line", "many lines"])
def test_an_event_without_end_is_malformed_not_memory(packet: bytes) -> None:
    packets = [packet] * (wire.MAX_EVENT_BYTES // len(packet) + 2)

    with pytest.raises(ProviderError) as failure:
        decode(*packets)

    assert failure.value.kind is FailureKind.MALFORMED


def test_heartbeats_without_end_are_fine() -> None:
    decoder = wire.EventDecoder()

    assert all(not decoder.feed(packet) for packet in [b": " + b"x" * 65_536, b"\n\n"] * 100)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"choices": null, "usage": null, "error": null}',
        b'{"choices": [{"delta": null, "finish_reason": null}], "unknown": [1]}',
        b'{"choices": [{"delta": {"content": null, "role": "assistant"}}], "usage": {"prompt_tokens_details": null}}',
    ],
)
def test_what_is_missing_or_null_is_tolerated(body: bytes) -> None:
    assert not any(choice.delta and choice.delta.content for choice in wire.decode_chunk(body).choices or ())


def test_a_whole_answer_gives_text_reason_and_usage() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    body = {"model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": usage}

    whole = wire.decode_whole(json.dumps(body).encode())

    assert whole.model == "m"
    assert whole.choices == [wire.WholeChoice(message=wire.Piece(content="Hi"), finish_reason="stop")]
    assert whole.usage == wire.Usage(12, 3, wire.PromptDetails(8))


def test_of_an_answer_in_parts_the_texts_are_taken_and_not_the_thoughts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thought, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    body = {"choices": [{"delta": {"content": parts}}, {"delta": {"content": [thought]}}]}

    choices = wire.decode_chunk(json.dumps(body).encode()).choices or []
    assert [choice.delta and choice.delta.text for choice in choices] == ["Hello", ""]


@pytest.mark.parametrize("body", [b'{"object": "list", "data": [{"id": "a/b"}]}', b'[{"id": "a/b", "type": "chat"}]'])
def test_models_are_listed_in_an_object_or_bare(body: bytes) -> None:
    assert wire.decode_models(body) == ("a/b",)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"choices": 3}', b'{"model": "\xff"}', b'{"usage":{"prompt_tokens":-1}}']
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    for decoder in (wire.decode_chunk, wire.decode_whole):
        with pytest.raises(ProviderError) as failure:
            decoder(body)
        assert failure.value.kind is FailureKind.MALFORMED


@pytest.mark.parametrize("error", ['{"message": "Overloaded"}', '"Overloaded"', '{"error": {"detail": "Overloaded"}}'])
def test_an_error_event_says_what_the_provider_said(error: str) -> None:
    with pytest.raises(ProviderError, match="Overloaded") as failure:
        wire.decode_chunk(b'{"error": %b}' % error.encode())

    assert failure.value.kind is FailureKind.SERVER_ERROR


@given(rubbish=st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@example(rubbish=b"[" * 100_000)
def test_rubbish_never_raises_anything_but_a_provider_error(rubbish: bytes) -> None:
    for reader in (decode, wire.decode_chunk, wire.decode_whole, wire.decode_models):
        with suppress(ProviderError):
            reader(rubbish)
    wire.quote(wire.decode_complaint(rubbish).text, "key")


@pytest.mark.parametrize(
    ("body", "text", "code"),
    [
        ('{"error": {"message": "No.", "code": "insufficient_quota"}}', "No.", "insufficient_quota"),
        ('{"error": "No."}', "No.", ""),
        ('{"detail": "No."}', "No.", ""),
        ('{"detail": [{"loc": []}], "code": 7}', "", ""),
        ('{"detail": [{"loc": [], "msg": "No."}]}', "No.", ""),
        ('{"detail": [{"loc": ["body", 0, "top"], "msg": "No."}, {"msg": "Nor."}]}', "body.0.top: No.", ""),
        ('{"message": {"detail": [{"loc": ["body", [[]]], "msg": "No."}]}, "code": null}', "body: No.", ""),
        ('{"message": [], "detail": [3], "error_description": "No."}', "No.", ""),
        ("upstream connect error", "upstream connect error", ""),
        ("<html><h1>502 Bad Gateway</h1></html>", "", ""),
    ],
)
def test_refusals_are_read_in_all_their_shapes(body: str, text: str, code: str) -> None:
    assert wire.decode_complaint(body.encode())[:2] == (text, code)


def test_a_refusal_names_the_field_that_it_is_about_and_gives_the_answer_that_it_withholds() -> None:
    body = rb'{"error": {"message": "No.", "param": "stream", "failed_generation": "{\"nam\u0000"}}'

    assert wire.decode_complaint(body) == ("No.", "", "stream", '{"nam\ufffd')


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((401, 402, 403), FailureKind.AUTHENTICATION),
        ((404,), FailureKind.NOT_FOUND),
        ((400, 413, 418, 422), FailureKind.BAD_REQUEST),
        ((408,), FailureKind.TIMEOUT),
        ((429,), FailureKind.RATE_LIMITED),
        ((409, 500, 502, 503, 529, 304), FailureKind.SERVER_ERROR),
    ],
)
def test_each_status_has_its_kind(statuses: tuple[int, ...], kind: FailureKind) -> None:
    assert {wire.kind_of_status(status) for status in statuses} == {kind}


@pytest.mark.parametrize(
    ("status", "code", "param"),
    [
        (400, "model_decommissioned", ""),
        (400, "model_terms_required", ""),
        (400, "unsupported_value", "stream"),
        (400, "", "max_tokens"),
        (400, "invalid_value", "max_completion_tokens"),
        (403, "model_not_found", ""),
        (403, "model_permission_blocked_org", ""),
        (403, "model_permission_blocked_project", ""),
    ],
)
def test_what_one_model_refuses_says_nothing_of_the_key_and_of_other_models(status: int, code: str, param: str) -> None:
    assert wire.kind_of_status(status, code, param) is FailureKind.NOT_FOUND


def test_a_value_that_no_model_takes_stays_a_bad_request() -> None:
    assert wire.kind_of_status(400, "unsupported_value", "temperature") is FailureKind.BAD_REQUEST


def test_an_account_without_credit_is_not_a_rate_limit() -> None:
    assert wire.kind_of_status(429, "insufficient_quota") is FailureKind.AUTHENTICATION


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "2", "retry-after-ms": "soon"}, 2),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 -0000"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "86400"}, 3600),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_a_date_or_nothing(headers: dict[str, str], seconds: float | None) -> None:
    assert wire.retry_after(headers, NOON) == seconds


@given(st.text())
def test_retry_after_never_raises(header: str) -> None:
    assert (
        0 <= (wire.retry_after({"retry-after": header, "retry-after-ms": header}) or 0) <= wire.MAX_RETRY_AFTER_SECONDS
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Incorrect API key provided: sk-proj-ab12**cd. See\nthe  docs",
            "Incorrect API key provided: *** See the docs",
        ),
        ("Authorization: Bearer abc.def was refused", "Authorization: *** was refused"),
        ("gsk_1234abcd and pplx-1234abcd", "*** and ***"),
        ("my-own-key is wrong", "*** is wrong"),
        ("my-own\x00-key\u202e is wrong", "my-own -key is wrong"),
        ("a risk-free task-list", "a risk-free task-list"),
        ("x" * 300, "x" * 197 + "..."),
    ],
)
def test_a_strangers_words_become_one_safe_line(text: str, shown: str) -> None:
    assert wire.quote(text, "my-own-key") == shown


@given(before=st.text(), after=st.text())
def test_a_key_never_survives_quoting(before: str, after: str) -> None:
    shown = wire.quote(f"{before} secret-of-mine {after}", "secret-of-mine")

    assert "secret-of-mine" not in shown
    assert len(shown) <= wire.MAX_QUOTE_CHARACTERS
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("1.5s", 1.5),
        ("20ms", 0.02),
        ("1h2m3s", 3723),
        ("2m59.56s", 179.56),
        ("7.66ms", 0.00766),
        ("30", 30),
        ("90d", 86_400),
        ("1e999", None),
        ("-3s", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_reset_is_read_as_vendors_write_it(text: str, seconds: float | None) -> None:
    assert wire.period(text) == (None if seconds is None else pytest.approx(seconds))


def limits(unit: str, most: str, left: str, reset: str) -> dict[str, str]:
    values = zip(("limit", "remaining", "reset"), (most, left, reset), strict=True)
    return {f"x-ratelimit-{name}-{unit}": value for name, value in values}


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        ({}, None),
        (limits("requests", "14400", "14370", "2m59.56s"), Announced(requests=Limit(14_400, 14_370, 179.56))),
        (limits("tokens", "18000", "17997", "7.66ms"), Announced(tokens=Limit(18_000, 17_997, 0.00766))),
        (
            limits("requests", "60", "59", "1s") | limits("tokens", "150000", "149984", "6m0s"),
            Announced(Limit(60, 59, 1.0), Limit(150_000, 149_984, 360.0)),
        ),
        (limits("requests", "60", "-1", "1s"), Announced(requests=Limit(60, 0, 1.0))),
        (limits("requests", "60", "61", "1s"), None),
        (limits("requests", "0", "0", "1s"), None),
        (limits("requests", "many", "few", "1s"), None),
        (limits("requests", "60", "nan", "1s"), None),
        (limits("requests", "60", "1", "later"), None),
    ],
)
def test_announced_limits_are_read_and_what_makes_no_sense_is_not(
    headers: dict[str, str], announced: Announced | None
) -> None:
    assert wire.announced(headers) == announced


@given(st.dictionaries(st.sampled_from(sorted(limits("requests", "", "", ""))), st.text(max_size=20)))
def test_no_header_of_limits_breaks_a_call(headers: dict[str, str]) -> None:
    found = wire.announced(headers)
    assert found is None or (found.requests is not None and 0 <= found.requests.left <= found.requests.most)
