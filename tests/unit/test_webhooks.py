"""What webhooks are told, who may hear it, how it is signed and sent, and what follows from an answer."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receivers import Receiver, Sent, receiving
from standardwebhooks.webhooks import WebhookVerificationError
from waits import closed

from vel_tutor_mcp.models import Principal, Role
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.services.webhooks import course
from vel_tutor_mcp.services.webhooks.course import Pace
from vel_tutor_mcp.services.webhooks.outbox import MOST_BODY_BYTES, NEEDS, Event, body_of, may_hear
from vel_tutor_mcp.services.webhooks.posting import Outcome, post
from vel_tutor_mcp.services.webhooks.signing import new_secret, signed_headers
from vel_tutor_mcp.store.webhook_deliveries import Delivery, State
from vel_tutor_mcp.store.webhooks import Webhook

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HERE = (ip_network("127.0.0.1/32"),)
PACE = Pace()
UNREACHED = "it cannot be reached: no connection, no such name, or an address that is not called"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def delivery(event: Event = Event.TASK_COMPLETED, **values: object) -> Delivery:
    made = Delivery(
        id="d", organisation_id="o", owner_id="me", webhook_id="w", event=event, body="{}", next_at=NOW, created_at=NOW
    )
    return replace(made, **values)  # type: ignore[arg-type]


def webhook(**values: object) -> Webhook:
    made = Webhook(
        id="w",
        organisation_id="o",
        owner_id="me",
        url="https://example.com/hook",
        description="",
        events=("task.completed",),
        sealed_secret=b"",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **values)  # type: ignore[arg-type]


# Who hears of a thing: of their own, of another's in their organisation, of the whole organisation, of elsewhere.
HEARS = {
    "admin": (True, True, True, False),
    "org_admin": (True, True, True, False),
    "agent_manager": (True, False, True, False),
    "task_executor": (True, False, True, False),
    "viewer": (False, False, False, False),
}


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("event", [event for event in NEEDS if event is not Event.ALERT_RAISED])
def test_a_webhook_hears_what_its_owner_may_read_and_a_viewers_hears_nothing(role: Role, event: Event) -> None:
    owner = Principal(user_id="me", organisation_id="o", name="me", role=role)
    things = (("o", "me"), ("o", "another"), ("o", None), ("elsewhere", "another"))
    assert tuple(may_hear(owner, event, *thing) for thing in things) == HEARS[role]
    assert not may_hear(owner, event, "elsewhere", None)


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=20_000) | st.lists(st.text(max_size=3000), max_size=5)
                    | st.integers() | st.none(), max_size=8),
    st.sampled_from(Event),
)  # fmt: skip
def test_what_is_sent_is_bounded_ascii_json_whatever_there_is_to_tell(data: dict[str, object], event: Event) -> None:
    body = body_of(event, data, NOW)
    told = json.loads(body)
    assert (told["type"], told["timestamp"]) == (event.value, "2026-11-26T12:00:00.000Z")
    assert told["data"].keys() == data.keys()
    assert body.isascii()
    assert len(body) <= MOST_BODY_BYTES


@pytest.mark.parametrize(
    ("texts", "kept"),
    [(["x" * 3000], 2000), (["x" * 3000] * 30, 500), (["\U0001f600" * 3000] * 50, 20), (["x" * 30] * 3000, None)],
)
def test_texts_are_cut_as_far_as_it_takes_and_a_flood_of_them_is_left_out(texts: list[str], kept: int | None) -> None:
    body = body_of(Event.ALERT_RAISED, {"texts": texts}, NOW)
    told = json.loads(body)["data"]
    assert len(body) <= MOST_BODY_BYTES
    assert told == ({"cut": True} if kept is None else {"texts": [f"{text[: kept - 1]}\u2026" for text in texts]})


def test_the_official_library_verifies_a_signature_and_misses_no_change() -> None:
    secret, before, body = new_secret(), new_secret(), b'{"type":"task.completed"}'
    headers = signed_headers([secret, before], "msg", int(datetime.now(UTC).timestamp()), body)
    sent = Sent("/", headers, body)
    assert sent.verified(secret) == sent.verified(before) == {"type": "task.completed"}
    late = signed_headers([secret], "msg", int(datetime.now(UTC).timestamp()) - 301, body)
    others = {"another secret": (new_secret(), sent), "late": (secret, replace(sent, headers=late))}
    others["another body"] = (secret, replace(sent, body=b"{}"))
    others["another id"] = (secret, replace(sent, headers={**headers, "webhook-id": "other"}))
    for what, (known, spoilt) in others.items():
        with pytest.raises(WebhookVerificationError):
            pytest.fail(f"{what}: {spoilt.verified(known)}")


# What came of an attempt, with so many tries left before: the state, the tries, and the seconds to the next one.
AFTER = [
    (Outcome(status=200), 3, (State.DELIVERED, 2, None)),
    (Outcome(status=204), 1, (State.DELIVERED, 0, None)),
    (Outcome(status=500, error="x"), 3, (State.WAITING, 2, 5)),
    (Outcome(status=500, error="x"), 2, (State.WAITING, 1, 30)),
    (Outcome(status=500, error="x"), 1, (State.FAILED, 0, None)),
    (Outcome(error="x"), 3, (State.WAITING, 2, 5)),
    (Outcome(status=302, error="x"), 3, (State.WAITING, 2, 5)),
    (Outcome(status=429, error="x", retry_after=60), 3, (State.WAITING, 2, 60)),
    (Outcome(status=429, error="x", retry_after=1), 3, (State.WAITING, 2, 5)),
    (Outcome(status=503, error="x", retry_after=3600), 2, (State.WAITING, 1, 300)),
    (Outcome(status=410, error="x"), 3, (State.FAILED, 0, None)),
]


@pytest.mark.parametrize(("outcome", "left", "expected"), AFTER)
def test_what_follows_for_a_delivery(outcome: Outcome, left: int, expected: tuple[State, int, int | None]) -> None:
    noted = course.after(delivery(tries_left=left), outcome, NOW, PACE, 0.0)
    pause = None if noted.next_at is None else (noted.next_at - NOW).total_seconds()
    assert (noted.state, noted.tries_left, pause) == expected
    assert [row["status"] for row in noted.attempts] == [outcome.status]


def test_chance_makes_a_pause_up_to_a_half_longer_and_the_last_attempts_are_kept() -> None:
    late = course.after(delivery(), Outcome(error="x"), NOW, PACE, 1.0)
    assert late.next_at == NOW + timedelta(seconds=7.5)
    many = delivery(attempts=tuple({"at": number} for number in range(20)))
    assert len(course.after(many, Outcome(status=200), NOW, PACE, 0.0).attempts) == 20


FAILED = delivery(state=State.FAILED)
TWO_HOURS_AGO = NOW - timedelta(hours=2)


@pytest.mark.parametrize(
    ("before", "noted", "outcome", "failures", "off"),
    [
        (webhook(failures=19, failing_since=TWO_HOURS_AGO), FAILED, Outcome(error="x"), 20, "Its last 20"),
        (webhook(failures=18, failing_since=TWO_HOURS_AGO), FAILED, Outcome(error="x"), 19, None),
        (webhook(failures=500, failing_since=NOW - timedelta(minutes=59)), FAILED, Outcome(error="x"), 501, None),
        (webhook(), FAILED, Outcome(error="x"), 1, None),
        (webhook(failures=30, failing_since=TWO_HOURS_AGO), delivery(), Outcome(error="x"), 30, None),
        (webhook(failures=30, failing_since=TWO_HOURS_AGO), delivery(), Outcome(status=200), 0, None),
        (webhook(), FAILED, Outcome(status=410, error="x"), 1, "Its receiver answered 410"),
        (webhook(active=False), FAILED, Outcome(status=410, error="x"), 1, None),
        (webhook(), delivery(Event.WEBHOOK_TEST, state=State.FAILED), Outcome(status=410, error="x"), 0, None),
    ],
)
def test_when_a_webhook_is_switched_off(
    before: Webhook, noted: Delivery, outcome: Outcome, failures: int, off: str | None
) -> None:
    after = course.standing(before, noted, outcome, NOW)
    assert after.failures == failures
    assert (after.last_at, after.last_status, after.last_ok) == (NOW, outcome.status, outcome.error is None)
    assert (after.off_because or "").startswith(off or "")
    assert after.active == (before.active and off is None)


def resolving(*answers: str) -> Outbound:
    """A way out by which a name leads to one address after the other; 127.0.0.1 is an allowed one."""
    left = list(answers)

    async def resolve(_: str, __: int) -> Sequence[str]:
        return [left.pop(0)]

    return Outbound(HERE, resolve)


@pytest.mark.anyio
async def test_a_name_is_looked_up_anew_for_each_attempt_and_leads_nowhere_inside(receiver: Receiver) -> None:
    port = receiver.url.partition("127.0.0.1:")[2]
    url, out = f"http://hooks.example:{port}", resolving("127.0.0.1", "127.0.0.2", "169.254.169.254", "::1")
    assert (await post(out, url, {}, b"{}", 5)).status == 204
    for _ in range(3):
        refused = await post(out, url, {}, b"{}", 5)
        assert (refused.status, refused.error) == (None, UNREACHED)
    assert len(receiver.sent) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:9/", "http://169.254.169.254/", "/again", "https://8.8.8.8/"])
async def test_no_redirect_is_followed_and_each_is_a_failure(receiver: Receiver, elsewhere: str) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.answers = [f"{status} Elsewhere\r\nlocation: {elsewhere}"]
        seen = await post(Outbound(HERE), receiver.url, {}, b"{}", 5)
        told = f"it answered {status}, a redirect, which is not followed: name the address itself"
        assert (seen.status, seen.error) == (status, told)
    assert len(receiver.sent) == 5


@pytest.mark.anyio
async def test_what_else_goes_wrong_is_told_without_a_word_of_the_url_or_the_answer(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        silent = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        assert (await post(Outbound(HERE), silent, {}, b"{}", 0.2)).error == "no answer within 0.2 s"
    receiver.answers = ["500 Secret words", "410 Gone", "429 Slow down\r\nretry-after: 7"]
    assert (await post(Outbound(HERE), receiver.url, {}, b"{}", 5)).error == "it answered 500"
    assert (
        await post(Outbound(HERE), receiver.url, {}, b"{}", 5)
    ).error == "it answered 410: it wants nothing any more"
    assert (await post(Outbound(HERE), receiver.url, {}, b"{}", 5)).retry_after == 7
    mail = await post(Outbound(HERE), "http://127.0.0.1:25/secret-path", {}, b"{}", 5)
    assert mail.error == "its URL may not be called any more"
    assert (await post(Outbound(), receiver.url, {}, b"{}", 5)).error == UNREACHED  # no network is allowed any more


@pytest.mark.anyio
async def test_of_an_answer_without_end_a_few_kilobytes_are_read() -> None:
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                written += 65_536
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()

    async with await asyncio.start_server(endless, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        seen = await post(Outbound(HERE), url, {}, b"{}", 5)
    await closed(server)
    assert (seen.status, seen.error) == (200, None)
    assert written < 64 * 1024 * 1024
