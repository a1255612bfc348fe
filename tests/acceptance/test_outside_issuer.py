"""People who sign in at a certified OpenID Connect provider, with a real browser and the official SDKs; and others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from browser import page_of
from issuer import EC_KEY, RSA_KEY, by_public_key, claims, signed
from node_programs import Program
from people import Front, front
from playwright.async_api import Browser
from ports import free_port
from server import WAIT_SECONDS, soon
from signing_in import BACK, SDKS, SdkClient, served_at
from waits import found

# The first of all may have to fetch the programs of npm.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

METADATA = "/.well-known/oauth-protected-resource"


def private(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    row = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(key, as_dict=True)
    row.pop("key_ops", None)  # it would say of the public half that it signs
    return {**row, "kid": kid, "use": "sig", "alg": algorithm}


@dataclass
class Place:
    """A server at `url` that takes the word of the provider at `issuer`, and beside it the product on the same home."""

    url: str
    issuer: str
    provider: Program
    desk: Front
    http: httpx2.AsyncClient

    async def link(self, role: Any = "task_executor") -> str:
        """The subject of a new account."""
        account = await self.desk.join(role)
        await self.desk.accounts.link(self.desk.app.local_principal, account.id, f"of {account.id}")
        return f"of {account.id}"

    async def asked(self, token: str) -> httpx2.Response:
        return await soon(self.http.get("/api/agents", headers={"authorization": f"Bearer {token}"}))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def standing(node: Path, folder: Path) -> AsyncIterator[Place]:
    url = f"http://127.0.0.1:{free_port()}"
    async with Program(node, "provider", url) as provider:
        provider.tell({"keys": [private(RSA_KEY, "first", "RS256")]})
        issuer = (await provider.said())["issuer"]
        async with served_at(url, folder, VEL_TUTOR_OIDC_ISSUER=issuer) as (app, http):
            yield Place(url, issuer, provider, front(app, issuer=issuer), http)


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, node: Path) -> AsyncIterator[Place]:
    async with standing(node, tmp_path_factory.mktemp("outside")) as place:
        yield place


@pytest.mark.parametrize("client", SDKS.values(), ids=SDKS)
async def test_a_person_signs_in_at_the_provider_and_their_client_works_as_them(
    place: Place, browser: Browser, client: SdkClient
) -> None:
    subject = await place.link()

    async def person(address: str) -> None:
        assert address.startswith(f"{place.issuer}/auth?")
        async with page_of(browser) as page:
            await page.goto(address)
            await page.fill("input[name=login]", subject)
            await page.fill("input[name=password]", "any")
            await page.click("button[type=submit]")
            await page.wait_for_selector("text=Continue")
            await page.click("button[type=submit]")
            await page.wait_for_selector(f"text={BACK}")

    tools, agents = await client(f"{place.url}/mcp", person)
    assert {"task_submit", "agent_list"} <= set(tools)
    assert agents == ["default"]


async def test_the_metadata_names_the_provider_and_nothing_of_ours_gives_tokens(place: Place) -> None:
    told = (await place.http.get(METADATA)).json()
    for path in ("/.well-known/oauth-authorization-server", "/oauth/authorize"):
        assert (await place.http.get(path)).status_code == 401
    assert (told["resource"], told["authorization_servers"]) == (place.url, [place.issuer])
    refused = await place.http.get("/api/agents")
    assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{place.url}{METADATA}"'


async def test_what_is_no_good_token_of_a_linked_subject_is_refused_and_on_record(place: Place) -> None:
    subject, disabled = await place.link(), await place.link()
    admin, past = place.desk.app.local_principal, datetime.now(UTC) - timedelta(minutes=5)

    def token(kid: str = "first", **own: Any) -> str:
        return signed(claims(place.issuer, place.url, **{"sub": subject, **own}), RSA_KEY, kid)

    for good in (token(), token(sub=disabled)):
        assert (await place.asked(good)).status_code == 200
    await place.desk.accounts.disable(admin, disabled.removeprefix("of "))
    bad = [
        ("its audience or issuer", token(aud="http://127.0.0.1:1")),
        ("none of ours", token(iss="http://127.0.0.1:1")),
        ("has expired", token(exp=past)),
        ("no access token", jwt.encode(claims(place.issuer, place.url, sub=subject), "", "none", {"kid": "first"})),
        ("no access token", by_public_key(token())),
        ("no key of its issuer", token("unknown")),
        ("no account is linked", token(sub="a stranger")),
        ("is disabled", token(sub=disabled)),
    ]
    for number, (why, given) in enumerate(bad):
        if number % 5 == 0:
            await place.desk.pass_a_minute()  # more are not looked at one by one
        refused = await place.asked(given)
        assert (refused.status_code, why in refused.text) == (401, True), refused.text
        assert given not in refused.text + str(refused.headers)
    recorded = list(await place.desk.recorded("token_refused"))[::-1]
    assert [why for (why, _), entry in zip(bad, recorded, strict=True) if why not in str(entry.payload["reason"])] == []
    assert [entry.payload.get("subject") for entry in recorded if "subject" in entry.payload] == ["a stranger"]


async def test_new_keys_of_the_provider_are_taken_up_without_a_restart_and_its_old_ones_no_more(
    tmp_path: Path, node: Path
) -> None:
    async with standing(node, tmp_path) as place:  # others could not go on with a provider of other keys
        subject = await place.link()
        content = claims(place.issuer, place.url, sub=subject)
        old, new = signed(content, RSA_KEY, "first"), signed(content, EC_KEY, "second", "ES256")
        assert (await place.asked(old)).status_code == 200
        place.provider.tell({"keys": [private(EC_KEY, "second", "ES256")]})
        await place.provider.said()

        async def taken() -> bool | None:
            return (await place.asked(new)).status_code == 200 or None

        await found(taken, WAIT_SECONDS)
        assert (await place.asked(old)).status_code == 401
