"""Owners' own keys: stored sealed, tested before they are used, seen by nobody, sealed anew with a new secret key."""

import base64
import logging
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from issuer import Issuer
from planted import key
from pydantic import SecretStr
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.errors import Conflict, Forbidden, InputError, NotFound
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.integrations import Integrations, shown
from vel_tutor_mcp.store import integrations as kept
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.integrations import Status
from vel_tutor_mcp.store.tables import integrations, metadata

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_integrations")]

KEY = SecretStr(key("sk-own"))
OTHER = SecretStr(key("sk-other").replace("WXYZ", "STUV"))
HERE = "127.0.0.1/32"


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"private_networks": HERE}


async def another(app: App, role: Any) -> Principal:
    async with app._parts.database.write(INSTALLATION) as tx:
        return replace(await people.local_principal(tx, f"a {role}", record.now()), role=role)


async def everything_stored(app: App) -> str:
    async with app._parts.database.read(INSTALLATION) as tx:
        rows = [row for table in metadata.sorted_tables for row in (await tx.execute(sa.select(table))).all()]
    return "\n".join(repr(tuple(row)) for row in rows)


async def test_a_key_is_pending_until_its_provider_takes_it(app: App, me: Principal, providers: Providers) -> None:
    providers.openai.keys = {KEY.get_secret_value()}
    stored = await app.integrations.put(me, "openai", KEY)
    assert (stored.status, stored.tested_at, stored.ends) == (Status.PENDING, None, "WXYZ")

    tested = await app.integrations.test(me, "openai")
    assert (tested.status, tested.error) == (Status.ACTIVE, None)
    assert tested.tested_at is not None
    assert await app.integrations.get(me, "openai") == tested
    assert not providers.openai.requests  # no model was asked

    again = await app.integrations.put(me, "openai", OTHER)
    assert (again.id, again.status, again.tested_at) == (stored.id, Status.PENDING, None)
    refused = await app.integrations.test(me, "openai")
    assert refused.status is Status.ERROR
    assert refused.error == "openai refuses the key (401); store another one, and test that."


async def test_who_lists_no_models_is_asked_for_an_answer_to_nothing(
    app: App, me: Principal, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers.groq, "models", None)
    providers.groq.keys = {KEY.get_secret_value()}
    await app.integrations.put(me, "groq", KEY)
    assert (await app.integrations.test(me, "groq")).status is Status.ACTIVE
    await app.integrations.put(me, "groq", OTHER)
    assert (await app.integrations.test(me, "groq")).status is Status.ERROR
    assert not providers.groq.requests


async def test_a_server_of_ones_own_may_take_no_key(app: App, me: Principal, providers: Providers) -> None:
    stored = await app.integrations.put(me, "local", None, providers.groq.base_url)
    assert (stored.sealed_key, stored.ends) == (None, "")
    assert (await app.integrations.test(me, "local")).status is Status.ACTIVE
    await app.integrations.put(me, "local", None, "http://127.0.0.1:65535/v1")
    told = await app.integrations.test(me, "local")
    assert (told.status, (told.error or "").partition(":")[0]) == (Status.ERROR, "local cannot be reached")


@pytest.mark.parametrize(
    ("provider", "key", "base_url", "told"),
    [
        ("nobody", "sk-1", None, "no such provider; keys are kept for groq, local, openai, perplexity, taskmaster"),
        ("openai", None, None, "The key is missing"),
        ("openai", "  ", None, "The key is missing"),
        ("openai", "two words", None, "The key is none"),
        ("openai", "kéy", None, "The key is none"),
        ("openai", "line\nbreak", None, "The key is none"),
        ("openai", "x" * 501, None, "The key is none"),
        ("openai", "sk-1", "http://8.8.8.8/v1", "You may not name this address"),
        ("openai", "sk-1", "https://10.0.0.1/v1", "You may not name this address"),
        ("openai", "sk-1", "http://127.0.0.2/v1", "You may not name this address"),
        ("openai", "sk-1", "ftp://localhost/v1", "The URL cannot be used"),
        ("openai", "sk-1", "https://example.com/v1?a=b", r"The base URL has a \?"),
        ("openai", "sk-1", "https://[::1/v1", "The URL cannot be used"),
    ],
)
async def test_what_cannot_be_stored_is_refused_without_a_word_of_it(
    app: App, me: Principal, provider: str, key: str | None, base_url: str | None, told: str
) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        await app.integrations.put(me, provider, None if key is None else SecretStr(key), base_url)
    assert "sk-1" not in str(refusal.value)
    assert not (await app.integrations.list(me)).rows


async def test_nobody_sees_or_uses_another_owners_integration(app: App, me: Principal) -> None:
    user, viewer = await another(app, "task_executor"), await another(app, "viewer")
    await app.integrations.put(me, "openai", KEY)
    theirs = await app.integrations.put(user, "openai", OTHER)

    assert (await app.integrations.list(user)).rows == (theirs,)
    assert [(row.owner_id, row.ends) for row in (await app.integrations.list(me)).rows] in (
        [(me.user_id, "WXYZ"), (user.user_id, "")],
        [(user.user_id, ""), (me.user_id, "WXYZ")],
    )
    for principal in (viewer, replace(user, user_id=viewer.user_id)):
        with pytest.raises(NotFound):
            await app.integrations.get(principal, "openai")
        with pytest.raises((NotFound, Forbidden)):
            await app.integrations.test(principal, "openai")
    with pytest.raises(NotFound):
        await app.integrations.delete(user, "openai", me.user_id)
    with pytest.raises(Forbidden, match="the role viewer has no integration_write"):
        await app.integrations.put(viewer, "openai", KEY)
    with pytest.raises(Forbidden, match="the role org_admin has no integration_rotate"):
        await app.integrations.rotate(replace(user, role="org_admin"))


async def test_an_administrator_deletes_the_keys_of_their_organisation_only(app: App, me: Principal) -> None:
    user = await another(app, "task_executor")
    await app.integrations.put(user, "openai", OTHER)
    stranger = replace(me, user_id=user.user_id.replace(user.user_id[0], "0"), organisation_id=user.user_id)
    with pytest.raises(NotFound):
        await app.integrations.delete(stranger, "openai", user.user_id)
    for nobody in ("", "x", "\0", str(uuid4())):
        with pytest.raises(NotFound):
            await app.integrations.delete(me, "openai", nobody)
        with pytest.raises(NotFound):
            await app.integrations.get(me, nobody)
    await app.integrations.delete(me, "openai", user.user_id)
    assert not (await app.integrations.list(me)).rows
    with pytest.raises(NotFound):
        await app.integrations.delete(me, "openai")


async def test_the_key_of_task_master_is_kept_and_not_tested(app: App, me: Principal) -> None:
    assert (await app.integrations.put(me, "taskmaster", KEY)).status is Status.PENDING
    with pytest.raises(InputError, match="Task Master is a program"):
        await app.integrations.test(me, "taskmaster")


async def test_a_test_says_nothing_of_a_key_that_was_stored_meanwhile(app: App, me: Principal) -> None:
    seen = await app.integrations.put(me, "openai", KEY)
    stored = await app.integrations.put(me, "openai", OTHER)
    with pytest.raises(Conflict, match="changed while it was tested"):
        await app.integrations._judge(me, seen, replace(seen, status=Status.ACTIVE))
    assert await app.integrations.get(me, "openai") == stored


async def test_a_refused_address_is_on_record(app: App) -> None:
    user = await another(app, "task_executor")
    with pytest.raises(Forbidden, match="VEL_TUTOR_PRIVATE_NETWORKS"):
        await app.integrations.put(user, "local", None, "https://169.254.169.254/v1")
    entry = (await app.audit.search(user, action="refused")).rows[0]
    assert entry.payload["operation"] == "integration_write"


async def test_who_is_led_inside_by_a_name_or_sent_on_is_not_tested_and_that_is_on_record(
    app: App, me: Principal
) -> None:
    async def inside(*_: Any) -> list[str]:
        return ["10.0.0.1", "::1"]

    async with Issuer() as server:
        server.answers["/v1/models"] = 302
        here = await app.integrations.put(me, "local", None, f"{server.url}/v1")
        sent_on = await app.integrations.test(me, "local")
        assert "/jwks" not in server.asked
    by_name = rekeyed(app, "", Outbound(resolve=inside))
    await by_name.put(me, "local", None, "https://inside.example/v1")
    led = await by_name.test(me, "local")
    assert (sent_on.status, led.status) == (Status.ERROR, Status.ERROR)
    assert "302" in (sent_on.error or "")
    assert "leads to no address" in (led.error or "")
    told = (await app.audit.search(me, action="integration_tested", subject=f"integration:{here.id}")).rows
    assert [entry.payload["status"] for entry in told] == ["error", "error"]


async def test_every_step_is_on_record_and_no_part_of_the_key_is_anywhere(
    app: App, me: Principal, providers: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    providers.openai.keys = set()  # its refusal repeats the key
    stored = await app.integrations.put(me, "openai", KEY)
    told = [stored, await app.integrations.test(me, "openai"), *(await app.integrations.list(me)).rows]
    told.append(await app.integrations.delete(me, "openai"))

    entries = (await app.audit.search(me, subject=f"integration:{stored.id}")).rows
    assert [entry.action for entry in reversed(entries)] == [
        "integration_set",
        "integration_tested",
        "integration_deleted",
    ]
    answers = "\n".join(f"{row!r} {shown(row)}" for row in told)
    words = (await everything_stored(app), caplog.text, answers, repr(entries), repr(app.integrations))
    for secret in (
        KEY.get_secret_value(),
        "0123456789abcdef",
        base64.b64encode(KEY.get_secret_value().encode()).decode(),
    ):
        assert not any(secret in text for text in words)
    assert "WXYZ" not in words[0] + words[1] + words[3]  # nor its end, once it is deleted


def rekeyed(app: App, text: str, outbound: Outbound | None = None) -> Integrations:
    """The service as another start would have it, with these secret keys, and this way out."""
    keys, base_urls = SecretKeys(text, Path("nowhere")), app.integrations._base_urls
    return Integrations(app._parts.database, keys, base_urls, outbound or Outbound())


async def test_a_new_secret_key_seals_anew_and_the_old_one_may_go(app: App, me: Principal) -> None:
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    before, both, after = rekeyed(app, old), rekeyed(app, f"{new},{old}"), rekeyed(app, new)
    await before.put(me, "openai", KEY)
    await before.put(await another(app, "task_executor"), "groq", OTHER)
    await before.put(me, "local", None, "https://example.com/v1")

    lost = await after.rotate(me)
    assert (lost.sealed, lost.current, len(lost.unopened)) == (0, 0, 2)
    assert "which is not here" in lost.unopened[0]
    # A stop in the middle: one is sealed anew, the other not yet.
    async with app._parts.database.write(INSTALLATION) as tx:
        (first,), keys = await kept.with_keys(tx, None, 1), SecretKeys(f"{new},{old}", Path("nowhere"))
        (sealed,) = first.sealed
        assert await kept.reseal(tx, first, [keys.seal(keys.opened(sealed), sealed.purpose, sealed.context)])
    rotation = await both.rotate(me)
    assert (rotation.sealed, rotation.current, rotation.unopened) == (1, 1, ())
    assert (await both.rotate(me)).sealed == 0
    assert await after.opened(await after.get(me, "openai")) == KEY.get_secret_value()
    assert len((await app.integrations.list(me)).rows) == 3


async def test_a_sealed_key_that_is_moved_to_another_row_does_not_open(app: App, me: Principal) -> None:
    user = await another(app, "task_executor")
    await app.integrations.put(me, "openai", KEY)
    theirs = await app.integrations.put(user, "openai", OTHER)
    stolen = (await app.integrations.get(me, "openai")).sealed_key
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(integrations.update().where(integrations.c.id == theirs.id).values(sealed_key=stolen))
    with pytest.raises(Exception, match="belongs to something else"):
        await app.integrations.test(user, "openai")


async def test_the_trail_of_a_rotation_names_what_was_sealed(app: App, me: Principal) -> None:
    keys = [base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2)]
    stored = await rekeyed(app, keys[0]).put(me, "openai", KEY)
    await rekeyed(app, ",".join(reversed(keys))).rotate(me)
    async with app._parts.database.read(INSTALLATION) as tx:
        query = sa.select(audit_logs.c.subject).where(audit_logs.c.action == "integration_resealed")
        assert f"integration:{stored.id}" in (await tx.scalars(query)).all()
