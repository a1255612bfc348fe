"""The keys of an outside issuer over a real wire: when it is asked, how often, and what holds while it is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from issuer import EC_KEY, Issuer, claims, published, signed

from vel_tutor_mcp.errors import IssuerAway, Unauthenticated
from vel_tutor_mcp.services import outside
from vel_tutor_mcp.services.outside import FLOOR_SECONDS, KEYS_GOOD_SECONDS, Outside
from vel_tutor_mcp.store.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio

US = "https://tutor.example"
ONCE = ["/.well-known/openid-configuration", "/jwks"]


@dataclass
class Clock:
    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(issuer: Issuer, clock: Clock, tmp_path: Path) -> Outside:
    nobody_looks = SqliteDatabase(tmp_path / "never.db")
    return Outside(nobody_looks, issuer.url, US, clock)


async def refused(door: Outside, token: str) -> str:
    with pytest.raises((Unauthenticated, IssuerAway)) as refusal:
        await door.verified(token)
    return f"{type(refusal.value).__name__}: {refusal.value}"


async def test_keys_are_fetched_once_for_all_who_ask(issuer: Issuer, door: Outside) -> None:
    found = await asyncio.gather(*(door.verified(issuer.token(US, sub=f"n{number}")) for number in range(20)))
    assert [identity.subject for identity in found] == [f"n{number}" for number in range(20)]
    assert issuer.asked == ONCE


@pytest.mark.parametrize("resource", [US, f"{US}/", f"{US}/mcp", f"{US}/sse"])
async def test_a_token_for_any_resource_that_the_metadata_names_is_good(
    issuer: Issuer, door: Outside, resource: str
) -> None:
    assert (await door.verified(issuer.token(resource))).subject == "someone"


async def test_a_token_for_another_path_is_refused(issuer: Issuer, door: Outside) -> None:
    assert "another server" in await refused(door, issuer.token(f"{US}/api"))


async def test_a_new_key_is_found_by_itself_and_one_that_was_taken_back_verifies_no_more(
    issuer: Issuer, door: Outside, clock: Clock
) -> None:
    old = issuer.token(US)
    await door.verified(old)
    issuer.publish(published(EC_KEY, "second", "ES256"))
    clock.seconds += FLOOR_SECONDS
    await door.verified(old)  # known, and not asked for anew
    assert issuer.asked == ONCE
    new = signed(claims(issuer.url, US), EC_KEY, "second", "ES256")
    assert (await door.verified(new)).subject == "someone"
    assert issuer.asked == ONCE * 2
    assert "no key of its issuer" in await refused(door, old)


async def test_names_that_are_made_up_do_not_have_the_issuer_asked_for_each(
    issuer: Issuer, door: Outside, clock: Clock
) -> None:
    for moment in range(100):
        clock.seconds = moment * FLOOR_SECONDS / 50  # two floors in all
        assert "no key of its issuer" in await refused(door, issuer.token(US, f"made up {moment}"))
        await door.verified(issuer.token(US))
    assert len(issuer.asked) == 2 * len(ONCE)


async def test_keys_that_are_old_are_looked_at_again_and_nobody_waits_for_it(
    issuer: Issuer, door: Outside, clock: Clock
) -> None:
    token = issuer.token(US)
    await door.verified(token)
    issuer.publish()
    clock.seconds += KEYS_GOOD_SECONDS
    await door.verified(token)
    assert door._fetching
    await door._fetching
    assert "no key of its issuer" in await refused(door, token)


async def test_while_the_issuer_is_away_known_keys_verify_and_the_others_are_told_so(
    issuer: Issuer, door: Outside, clock: Clock
) -> None:
    known, unknown = issuer.token(US), issuer.token(US, "second")
    await door.verified(known)
    issuer.close()
    clock.seconds += 2 * KEYS_GOOD_SECONDS
    for _ in range(2):  # the second is told what the first found
        assert "IssuerAway: The token cannot be checked now; its issuer's keys are not known, for it cannot be" in (
            await refused(door, unknown)
        )
        assert (await door.verified(known)).subject == "someone"


async def test_an_issuer_that_is_back_is_asked_after_the_floor(issuer: Issuer, door: Outside, clock: Clock) -> None:
    issuer.answers["/jwks"], kept = 503, issuer.answers["/jwks"]
    assert "status 503" in await refused(door, issuer.token(US))
    issuer.answers["/jwks"] = kept
    assert "status 503" in await refused(door, issuer.token(US))
    clock.seconds += FLOOR_SECONDS
    assert (await door.verified(issuer.token(US))).subject == "someone"
    assert "no key of its issuer" in await refused(door, issuer.token(US, "made up"))


DOCUMENT = "/.well-known/openid-configuration"
ODD: dict[str, tuple[str, Any, str]] = {
    "not there": (DOCUMENT, 404, "status 404"),
    "sent on": ("/jwks", 302, "status 302"),
    "another's": (DOCUMENT, {"issuer": "https://evil.example", "jwks_uri": "https://evil.example"}, "another issuer"),
    "keys on an open way": (DOCUMENT, {"jwks_uri": "http://evil.example/jwks"}, "no https://"),
    "keys nowhere": (DOCUMENT, {"jwks_uri": None}, "no https://"),
    "no JSON": ("/jwks", "<html>", "no JSON object"),
    "deep JSON": ("/jwks", "[" * 100_000, "no JSON object"),
    "no object": ("/jwks", [], "no JSON object"),
    "no keys": ("/jwks", {"keys": "none"}, "are none"),
    "endless": ("/jwks", "x" * 300_000, "too long"),
}


@pytest.mark.parametrize(("path", "answer", "why"), ODD.values(), ids=ODD)
async def test_an_odd_answer_is_told_and_opens_nothing(
    issuer: Issuer, door: Outside, path: str, answer: Any, why: str
) -> None:
    issuer.answers[path] = {**issuer.document, **answer} if path == DOCUMENT and isinstance(answer, dict) else answer
    told = await refused(door, issuer.token(US))
    assert told.startswith("IssuerAway")
    assert why in told


async def test_a_proxy_that_cannot_be_used_is_told_as_why_no_token_can_be_checked(
    issuer: Issuer, door: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    told = await refused(door, issuer.token(US))
    assert told.startswith("IssuerAway")
    assert "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names" in told


async def test_an_issuer_that_says_nothing_is_not_waited_for(
    issuer: Issuer, door: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "_FETCH_SECONDS", 0.05)
    issuer.silent = True
    assert "did not answer within" in await refused(door, issuer.token(US))


async def test_whose_a_token_is_decides_who_verifies_it(issuer: Issuer, door: Outside) -> None:
    assert door.issued(issuer.token(US))
    assert not door.issued(issuer.token(US, iss="https://other.example"))
