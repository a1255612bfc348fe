"""OAuth from the sign-in on its page to the last token, and all the ways in which somebody else could come in by it."""

import asyncio
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from people import Front, front, new_address
from planted import PASSWORD

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.errors import OAuthRefused, TooManyTries, Unauthenticated
from vel_tutor_mcp.services import oauth_clients, record
from vel_tutor_mcp.services.oauth import SESSION_LIVES
from vel_tutor_mcp.services.pairs import SignedIn
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import authorizations, grants
from vel_tutor_mcp.store.people_tables import oauth_clients as client_rows
from vel_tutor_mcp.store.places import database_of

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:4000"
CALLBACK = "http://127.0.0.1:33418/callback"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DOCUMENT = "https://client.example/mcp.json"


@pytest.fixture(scope="module")
def values() -> dict[str, int]:
    return {"concurrency": 0}


@dataclass(frozen=True)
class Flow:
    """A client that registered itself, and somebody who allowed it; `form` is with what it takes its tokens."""

    account: Account
    query: dict[str, str]
    form: dict[str, str]


async def registered(desk: Front, **metadata: Any) -> str:
    described = {"client_name": "Editor", "redirect_uris": [CALLBACK]} | metadata
    return str((await desk.oauth.register(described, new_address()))["client_id"])


async def query_of(desk: Front) -> dict[str, str]:
    return {
        "client_id": await registered(desk), "redirect_uri": CALLBACK, "response_type": "code",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s",
    }  # fmt: skip


async def session_of(desk: Front, account: Account) -> str:
    return await desk.oauth.sign_in(account.name, PASSWORD, new_address())


async def allowed(desk: Front) -> Flow:
    account, query = await desk.join("agent_manager"), await query_of(desk)
    asked = await desk.oauth.asked(query, [URL], "")
    code = await desk.oauth.allow(await session_of(desk, account), asked, "192.0.2.7")
    form = {"code": code, "redirect_uri": CALLBACK, "client_id": query["client_id"], "code_verifier": VERIFIER}
    return Flow(account, query, form)


async def refused(desk: Front, form: dict[str, str], *resources: str) -> OAuthRefused:
    with pytest.raises(OAuthRefused) as refusal:
        await desk.oauth.redeem(form, resources, new_address())
    return refusal.value


async def pass_time(desk: Front, account: Account, time: timedelta) -> None:
    """Their one sign-in ends so much sooner."""
    async with desk.database.write(INSTALLATION) as tx:
        for table in (grants, authorizations):
            theirs = table.c.owner_id == account.id
            ends = await tx.scalar(sa.select(table.c.expires_at).where(theirs))
            assert ends is not None
            await tx.execute(table.update().where(theirs).values(expires_at=ends - time))


async def test_who_allows_a_client_lets_it_in_as_themselves(desk: Front) -> None:
    flow = await allowed(desk)
    pair = await desk.oauth.redeem(flow.form, [f"{URL}/mcp"], "")

    caller = await desk.access.verify(pair.token)
    content = jwt.decode(pair.token, options={"verify_signature": False})
    assert caller.principal == replace(flow.account.principal, by="oauth")
    assert (content["aud"], content["scope"], content["client_id"]) == (URL, "mcp", flow.form["client_id"])
    assert [grant.name for grant in (await desk.access.issued(flow.account.principal)).rows] == ["Editor"]
    for action in ("signed_in", "client_allowed", "client_connected"):
        (entry,) = await desk.recorded(action, f"grant:{caller.grant_id}")
        assert entry.principal == flow.account.name
    kept = json.dumps([entry.payload for entry in await desk.recorded("client_allowed")])
    for secret in (flow.form["code"], VERIFIER, CHALLENGE, pair.refresh_token):
        assert secret not in kept


async def test_its_refresh_token_is_good_once_and_for_that_client_alone(desk: Front) -> None:
    flow = await allowed(desk)
    first = await desk.oauth.redeem(flow.form, [], "")
    form = {"refresh_token": first.refresh_token, "client_id": flow.form["client_id"]}

    with pytest.raises(OAuthRefused, match="not good"):
        await desk.oauth.refresh(form | {"client_id": await registered(desk)}, [], "")
    with pytest.raises(Unauthenticated, match="not good"):
        await desk.access.refresh(first.refresh_token, "")
    with pytest.raises(OAuthRefused) as foreign:
        await desk.oauth.refresh(form, ["https://other.example"], "")
    assert foreign.value.error == "invalid_target"
    second = await desk.oauth.refresh(form, [], "")
    with pytest.raises(OAuthRefused, match="used before") as reused:
        await desk.oauth.refresh(form, [], "")
    assert (reused.value.error, reused.value.recorded) == ("invalid_grant", True)
    for token in (first.token, second.token):
        with pytest.raises(Unauthenticated, match="revoked"):
            await desk.access.verify(token)


WRONG = {
    "another client": {"client_id": "2c1bd13c-7d1a-4d0d-a1a6-6d8f0a8a2c11"},
    "no client": {"client_id": ""},
    "another address": {"redirect_uri": "http://127.0.0.1:1/callback"},
    "another verifier": {"code_verifier": "w" * 43},
    "the challenge as verifier": {"code_verifier": CHALLENGE},
    "no verifier": {"code_verifier": ""},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
async def test_a_code_in_wrong_hands_is_good_for_nobody_any_more(desk: Front, changes: dict[str, str]) -> None:
    flow = await allowed(desk)
    assert (await refused(desk, flow.form | changes)).error == "invalid_grant"
    assert (await refused(desk, flow.form)).error == "invalid_grant"
    (entry, *_) = await desk.recorded("code_misused")
    assert entry.principal == flow.account.name


async def test_a_code_that_comes_twice_ends_what_came_of_it(desk: Front) -> None:
    flow = await allowed(desk)
    pair = await desk.oauth.redeem(flow.form, [], "")
    assert "used before" in str(await refused(desk, flow.form))
    with pytest.raises(Unauthenticated, match="revoked"):
        await desk.access.verify(pair.token)
    with pytest.raises(OAuthRefused):
        await desk.oauth.refresh({"refresh_token": pair.refresh_token, "client_id": flow.form["client_id"]}, [], "")


async def test_a_code_is_good_for_a_minute_and_for_this_server(desk: Front) -> None:
    flow = await allowed(desk)
    assert (await refused(desk, flow.form, "https://other.example")).error == "invalid_target"
    async with desk.database.write(INSTALLATION) as tx:
        late = authorizations.update().where(authorizations.c.owner_id == flow.account.id)
        left = await tx.scalar(sa.select(authorizations.c.expires_at).where(late._where_criteria[0]))
        await tx.execute(late.values(expires_at=record.now()))
    assert left is not None
    assert left - record.now() <= timedelta(seconds=60)
    assert "expired" in str(await refused(desk, flow.form))
    assert "none of ours" in str(await refused(desk, flow.form | {"code": "guess"}))


async def test_of_two_processes_at_once_one_redeems_a_code(desk: Front) -> None:
    flow = await allowed(desk)
    other = front(desk.app, database_of(desk.app._parts.settings))
    both = (process.oauth.redeem(flow.form, [], "") for process in (desk, other) for _ in range(2))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(answer) for answer in answers].count(SignedIn) == 1
    assert [type(answer) for answer in answers].count(OAuthRefused) == 3
    await other.database.close()


async def test_a_session_is_good_for_one_decision(desk: Front) -> None:
    account, query = await desk.join(), await query_of(desk)
    asked = await desk.oauth.asked(query, [], "")
    for decide in (desk.oauth.allow, desk.oauth.deny):
        session = await session_of(desk, account)
        assert await desk.oauth.visitor(session) == account.principal
        await decide(session, asked, "")
        assert await desk.oauth.visitor(session) is None
        for again in (desk.oauth.allow, desk.oauth.deny):
            with pytest.raises(Unauthenticated, match="any more"):
                await again(session, asked, "")
    assert len(await desk.recorded("client_denied")) == 1


async def test_a_new_password_and_a_disabled_account_end_sessions_codes_and_clients(desk: Front) -> None:
    flow, later = await allowed(desk), "Another-Passw0rd-2"
    pair = await desk.oauth.redeem(flow.form, [], "")
    session = await session_of(desk, flow.account)
    asked = await desk.oauth.asked(flow.query, [], "")
    code = await desk.oauth.allow(await session_of(desk, flow.account), asked, "")
    await desk.accounts.change(flow.account.principal, PASSWORD, password=later, address=new_address())

    assert await desk.oauth.visitor(session) is None
    assert (await refused(desk, flow.form | {"code": code})).error == "invalid_grant"
    with pytest.raises(Unauthenticated, match="revoked"):
        await desk.access.verify(pair.token)

    session = await desk.oauth.sign_in(flow.account.name, later, new_address())
    await desk.accounts.disable(desk.app.local_principal, flow.account.id)
    assert await desk.oauth.visitor(session) is None


async def test_a_new_password_ends_a_code_of_somebody_who_decided_at_the_last_moment(desk: Front) -> None:
    account, query = await desk.join(), await query_of(desk)
    asked = await desk.oauth.asked(query, [], "")
    session = await session_of(desk, account)
    await pass_time(desk, account, SESSION_LIVES - timedelta(seconds=10))
    code = await desk.oauth.allow(session, asked, "")
    await pass_time(desk, account, timedelta(seconds=20))
    await desk.accounts.change(account.principal, PASSWORD, password="Another-Passw0rd-2", address=new_address())

    form = {"code": code, "client_id": query["client_id"], "code_verifier": VERIFIER}
    assert (await refused(desk, form)).error == "invalid_grant"


async def test_a_person_takes_back_what_a_client_has_and_the_client_gives_it_back(desk: Front) -> None:
    flows = [await allowed(desk) for _ in range(3)]
    pairs = [await desk.oauth.redeem(flow.form, [], "") for flow in flows]
    stranger = {"token": pairs[0].token, "client_id": await registered(desk)}
    with pytest.raises(OAuthRefused, match="another client"):
        await desk.oauth.revoke(stranger)
    assert (await desk.access.verify(pairs[0].token)).principal.user_id == flows[0].account.id

    await desk.oauth.revoke({"token": pairs[0].token, "client_id": flows[0].form["client_id"]})
    await desk.oauth.revoke({"token": pairs[1].refresh_token, "client_id": flows[1].form["client_id"]})
    (grant,) = (await desk.access.issued(flows[2].account.principal)).rows
    await desk.access.revoke(flows[2].account.principal, grant.id)
    for pair in pairs:
        with pytest.raises(Unauthenticated, match="revoked"):
            await desk.access.verify(pair.token)
    await desk.oauth.revoke({"token": "guess", "client_id": "anybody"})


REQUESTS = {
    "an unknown client": ({"client_id": "2c1bd13c-7d1a-4d0d-a1a6-6d8f0a8a2c11"}, "invalid_client"),
    "no client": ({"client_id": ""}, "invalid_client"),
    "a client that is no id": ({"client_id": "'; drop table grants; --"}, "invalid_client"),
    "another address": ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
    "no address": ({"redirect_uri": ""}, "invalid_request"),
    "a token at once": ({"response_type": "token"}, "unsupported_response_type"),
    "no challenge": ({"code_challenge": ""}, "invalid_request"),
    "a plain challenge": ({"code_challenge_method": "plain"}, "invalid_request"),
    "an endless state": ({"state": "x" * 2001}, "invalid_request"),
}


@pytest.mark.parametrize(("changes", "error"), REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_request_that_is_not_in_order_is_not_shown_to_anybody(
    desk: Front, changes: dict[str, str], error: str
) -> None:
    query = await query_of(desk)
    with pytest.raises(OAuthRefused) as refusal:
        await desk.oauth.asked(query | changes, [], "")
    assert refusal.value.error == error


async def test_registrations_are_few_from_an_address_and_the_oldest_unused_make_room(
    desk: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = await allowed(desk)
    await desk.oauth.redeem(flow.form, [], "")
    oldest = await registered(desk)
    monkeypatch.setattr(oauth_clients, "_MOST_UNUSED", 3)
    spam = {"client_name": "Spam", "redirect_uris": ["https://spam.example/"]}
    for _ in range(5):
        await desk.oauth.register(spam, "192.0.2.66")
    with pytest.raises(TooManyTries):
        await desk.oauth.register(spam, "192.0.2.66")

    assert len(await desk.recorded("registration_throttled")) == 1
    async with desk.database.read(INSTALLATION) as tx:
        unused = sa.select(sa.func.count()).where(client_rows.c.used_at.is_(None))
        assert await tx.scalar(unused.select_from(client_rows)) == 3
    with pytest.raises(OAuthRefused, match="not known"):
        await desk.oauth.asked(flow.query | {"client_id": oldest}, [], "")
    assert (await desk.oauth.asked(flow.query, [], "")).client.name == "Editor"


METADATA = {
    "no object": ([], "invalid_redirect_uri"),
    "no addresses": ({"redirect_uris": []}, "invalid_redirect_uri"),
    "many addresses": ({"redirect_uris": [CALLBACK] * 11}, "invalid_redirect_uri"),
    "an address that is none": ({"redirect_uris": [7]}, "invalid_redirect_uri"),
    "a script": ({"redirect_uris": [CALLBACK, "javascript:alert(1)"]}, "invalid_redirect_uri"),
    "a long name": ({"redirect_uris": [CALLBACK], "client_name": "x" * 101}, "invalid_client_metadata"),
    "a name turned around": ({"redirect_uris": [CALLBACK], "client_name": "a\u202eb"}, "invalid_client_metadata"),
}  # fmt: skip


@pytest.mark.parametrize(("metadata", "error"), METADATA.values(), ids=METADATA.keys())
async def test_a_client_that_describes_itself_badly_is_not_registered(desk: Front, metadata: Any, error: str) -> None:
    with pytest.raises(OAuthRefused) as refusal:
        await desk.oauth.register(metadata, new_address())
    assert refusal.value.error == error


async def test_a_client_is_known_by_the_document_at_its_address(desk: Front) -> None:
    account, query = await desk.join(), await query_of(desk)
    query["client_id"] = DOCUMENT
    desk.documents[DOCUMENT] = json.dumps(
        {"client_id": DOCUMENT, "client_name": "Web editor", "redirect_uris": [CALLBACK]}
    ).encode()
    asked = await desk.oauth.asked(query, [], "")
    assert (asked.client.name, asked.client.site) == ("Web editor", "client.example")
    desk.documents.clear()  # it is remembered for a while
    asked = await desk.oauth.asked(query, [], "")
    code = await desk.oauth.allow(await session_of(desk, account), asked, "")
    form = {"code": code, "client_id": DOCUMENT, "code_verifier": VERIFIER}
    assert (await desk.access.verify((await desk.oauth.redeem(form, [], "")).token)).principal.user_id == account.id


DOCUMENTS = {
    "none": None,
    "no JSON": b"<html>",
    "deep JSON": b"[" * 100_000,
    "another one's": json.dumps({"client_id": f"{DOCUMENT}x", "redirect_uris": [CALLBACK]}).encode(),
    "one without addresses": json.dumps({"client_id": DOCUMENT}).encode(),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
async def test_a_document_that_is_no_description_of_its_client_is_not_used(desk: Front, document: bytes | None) -> None:
    query = await query_of(desk)
    if document is not None:
        desk.documents[DOCUMENT] = document
    for _ in range(7):  # asked for once, however often somebody comes by
        with pytest.raises(OAuthRefused, match="document at its address") as refusal:
            await desk.oauth.asked(query | {"client_id": DOCUMENT}, [], "192.0.2.9")
    assert refusal.value.error == "invalid_client"


async def test_few_documents_are_asked_for_from_an_address(desk: Front) -> None:
    query = await query_of(desk)
    for number in range(5):
        with pytest.raises(OAuthRefused):
            await desk.oauth.asked(query | {"client_id": f"{DOCUMENT}?{number}"}, [], "192.0.2.9")
    with pytest.raises(TooManyTries):
        await desk.oauth.asked(query | {"client_id": f"{DOCUMENT}?6"}, [], "192.0.2.9")
    assert len(await desk.recorded("document_throttled")) == 1
