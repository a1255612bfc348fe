"""Coming in: signing in, guessing, refreshing, signing out, tokens of clients, and the keys behind them."""

import asyncio
import os
import stat
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from issuer import Issuer
from people import FAST, Front, front, new_address
from planted import MARK, OTHER_PASSWORD, PASSWORD

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.networks import network
from vel_tutor_mcp.auth.tokens import Claims, SigningKey, Tokens
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.notes import Notes
from vel_tutor_mcp.errors import (
    ConfigurationError,
    Conflict,
    Forbidden,
    InputError,
    NotFound,
    TooManyTries,
    Unauthenticated,
    VelError,
)
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.store import signing_keys
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import authorizations, grants, refresh_tokens, tries, users
from vel_tutor_mcp.store.people_tables import signing_keys as key_rows
from vel_tutor_mcp.store.places import database_of

pytestmark = pytest.mark.anyio

GUESSES = int(os.environ.get("VEL_TEST_GUESSES", "500"))
US = "http://127.0.0.1:4000"
WRONG = "You are not signed in; e-mail or password are wrong"


@pytest.fixture(scope="module")
def values() -> dict[str, int]:
    return {"concurrency": 0}


async def rows(desk: Front, table: sa.Table) -> int:
    async with desk.database.read(INSTALLATION) as tx:
        return int(await tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def test_who_signs_in_is_known_by_the_token_from_then_on(desk: Front) -> None:
    account = await desk.join("agent_manager")
    entered = await desk.access.sign_in(f" {account.name.upper()} ", PASSWORD, "192.0.2.7")

    caller = await desk.access.verify(entered.token)
    assert caller.principal == account.principal
    assert entered.account.role == "agent_manager"
    assert timedelta(hours=23, minutes=59) < entered.expires_at - record.now() <= timedelta(hours=24)
    (entry,) = await desk.recorded("signed_in", f"grant:{caller.grant_id}")
    assert (entry.principal, entry.payload) == (account.name, {"address": "192.0.2.7"})


async def test_a_wrong_password_an_unknown_account_and_a_disabled_one_are_refused_alike(desk: Front) -> None:
    known, disabled = await desk.join(), await desk.join()
    await desk.accounts.disable(desk.app.local_principal, disabled.id)
    tried = [(known.name, OTHER_PASSWORD), ("nobody@example.org", PASSWORD), (disabled.name, PASSWORD), ("\0", "")]

    told = set()
    for email, password in tried:
        with pytest.raises(Unauthenticated, match=WRONG) as refusal:
            await desk.access.sign_in(email, password, new_address())
        told.add(str(refusal.value))
    assert len(told) == 1
    assert desk.passwords.compared == len(tried)
    assert [entry.principal for entry in (await desk.recorded("sign_in_failed"))[:4]] == [
        "nobody", disabled.name, "nobody", known.name,
    ]  # fmt: skip


async def test_five_tries_a_minute_are_looked_at_for_an_account_from_wherever_they_come(desk: Front) -> None:
    account = await desk.join()
    before, began = await desk.recorded("sign_in_throttled"), time.monotonic()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await desk.enter(account, OTHER_PASSWORD)
    for _ in range(3):
        with pytest.raises(TooManyTries) as refusal:
            await desk.enter(account)
        assert 60 - (time.monotonic() - began) <= refusal.value.retry_after <= 60

    assert desk.passwords.compared == 5
    recorded = await desk.recorded("sign_in_throttled")
    assert recorded[:1] != before[:1] == recorded[1:2]
    await desk.pass_a_minute()
    assert (await desk.enter(account)).account == account


async def test_five_tries_a_minute_are_looked_at_from_an_address_for_whatever_accounts(desk: Front) -> None:
    account = await desk.join()
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await desk.access.sign_in(f"nobody-{number}@example.org", PASSWORD, "2001:db8::1")
    with pytest.raises(TooManyTries):
        await desk.access.sign_in(account.name, PASSWORD, "2001:db8::ffff")
    assert (await desk.access.sign_in(account.name, PASSWORD, "2001:db8:0:1::1")).account == account


async def test_the_limit_is_exact_over_processes(desk: Front) -> None:
    account = await desk.join()
    others = [front(desk.app, database_of(desk.app._parts.settings)) for _ in range(3)]
    tried = [process.enter(account, OTHER_PASSWORD) for process in (desk, *others) for _ in range(6)]

    answers = await asyncio.gather(*tried, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unauthenticated) == 5
    assert [type(answer) for answer in answers].count(TooManyTries) == 19
    assert sum(process.passwords.compared for process in (desk, *others)) == 5
    for process in others:
        await process.database.close()


async def test_guesses_get_nobody_in_and_leave_nothing_that_grows(desk: Front) -> None:
    account = await desk.join()
    targets = [account.name, *(f"guess-{number}@example.org" for number in range(3))]
    addresses = [new_address() for _ in range(4)]
    for number in range(GUESSES):
        if number % 100 == 50:
            await desk.pass_a_minute()
        with pytest.raises((Unauthenticated, TooManyTries)):
            await desk.access.sign_in(targets[number % 4], f"{MARK}-{number + 100}", addresses[number // 4 % 4])

    minutes = GUESSES // 100 + 1
    assert desk.passwords.compared <= minutes * 5 * 4
    assert await rows(desk, tries) <= 8 * 6
    await desk.pass_a_minute()
    assert (await desk.enter(account)).account == account


async def test_callers_at_once_are_each_known_as_themselves_and_a_revoked_one_is_found_out(desk: Front) -> None:
    people = [await desk.join() for _ in range(3)]
    tokens = [(await desk.enter(account)).token for account in people]
    callers = [await desk.access.verify(token) for token in tokens]
    await desk.access.sign_out(callers[0])
    answers = await asyncio.gather(*(desk.access.verify(token) for token in tokens * 4), return_exceptions=True)
    revoked = [answer for answer in answers if isinstance(answer, Unauthenticated)]
    assert [answer for answer in answers if answer not in revoked] == callers[1:] * 4
    assert len(revoked) == 4


async def test_a_refresh_token_brings_the_next_pair_once(desk: Front) -> None:
    first = await desk.enter(await desk.join())
    second = await desk.access.refresh(first.refresh_token, "")
    assert second.refresh_token != first.refresh_token
    before, after = await desk.access.verify(first.token), await desk.access.verify(second.token)
    assert before.principal == after.principal
    assert before.grant_id == after.grant_id


async def test_a_refresh_token_that_comes_again_ends_the_sign_in(desk: Front) -> None:
    first = await desk.enter(await desk.join())
    second = await desk.access.refresh(first.refresh_token, "")
    grant = (await desk.access.verify(second.token)).grant_id
    with pytest.raises(Unauthenticated, match="used before"):
        await desk.access.refresh(first.refresh_token, "198.51.100.4")

    for token in (first.token, second.token):
        with pytest.raises(Unauthenticated, match="revoked"):
            await desk.access.verify(token)
    with pytest.raises(Unauthenticated):
        await desk.access.refresh(second.refresh_token, "")
    (entry,) = await desk.recorded("refresh_reused", f"grant:{grant}")
    assert entry.payload == {"address": "198.51.100.4"}


async def test_of_two_at_once_one_refreshes(desk: Front) -> None:
    first = await desk.enter(await desk.join())
    both = (desk.access.refresh(first.refresh_token, "") for _ in range(2))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unauthenticated) == 1


@pytest.mark.parametrize("token", ["", "vtr_guess", "\ud800", "x" * 100_000], ids=["none", "guess", "no text", "long"])
async def test_no_other_text_refreshes(desk: Front, token: str) -> None:
    with pytest.raises(Unauthenticated, match="not good"):
        await desk.access.refresh(token, "")


async def test_an_expired_refresh_token_is_not_good(desk: Front) -> None:
    entered = await desk.enter(await desk.join())
    async with desk.database.write(INSTALLATION) as tx:
        of_them = refresh_tokens.c.owner_id == entered.account.id
        await tx.execute(refresh_tokens.update().where(of_them).values(expires_at=record.now()))
    with pytest.raises(Unauthenticated, match="expired"):
        await desk.access.refresh(entered.refresh_token, "")


async def test_signing_out_ends_that_sign_in_and_no_other(desk: Front) -> None:
    account = await desk.join()
    here, elsewhere = await desk.enter(account), await desk.enter(account)
    caller = await desk.access.verify(here.token)
    await desk.access.sign_out(caller)

    with pytest.raises(Unauthenticated, match="revoked"):
        await desk.access.verify(here.token)
    with pytest.raises(Unauthenticated):
        await desk.access.refresh(here.refresh_token, "")
    assert (await desk.access.verify(elsewhere.token)).principal == account.principal
    assert len(await desk.recorded("signed_out", f"grant:{caller.grant_id}")) == 1


async def test_who_is_disabled_or_changed_while_they_sign_in_does_not_come_in(desk: Front) -> None:
    account, me = await desk.join(), desk.app.local_principal
    await desk.accounts.set_role(me, account.id, "viewer")
    with pytest.raises(Unauthenticated, match="changed meanwhile"):
        await desk.access._begin(account, "")
    await desk.accounts.disable(me, account.id)
    with pytest.raises(Conflict, match=r"account is disabled.*`user enable`"):
        await desk.access.issue(me, "too late", user=account.id)
    assert (await desk.access.issued(me, account.id)).rows == ()


async def test_a_client_is_issued_a_token_that_can_be_taken_back(desk: Front) -> None:
    account = await desk.join()
    issued = await desk.access.issue(account.principal, "editor", days=300)
    assert (await desk.access.verify(issued.token)).principal == replace(account.principal, by="client")
    assert [grant.name for grant in (await desk.access.issued(account.principal)).rows] == ["editor"]

    await desk.access.revoke(account.principal, issued.grant.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        await desk.access.verify(issued.token)
    assert len(await desk.recorded("token_revoked", f"grant:{issued.grant.id}")) == 1


async def test_another_ones_token_is_neither_made_nor_taken_back(desk: Front) -> None:
    one, other = await desk.join(), await desk.join()
    issued = await desk.access.issue(one.principal, "editor")
    for stranger in (other.principal, (await desk.join("org_admin", "elsewhere")).principal):
        with pytest.raises(NotFound, match="no such token"):
            await desk.access.revoke(stranger, issued.grant.id)
        with pytest.raises(NotFound, match="no such user"):
            await desk.access.issue(stranger, "spy", user=one.id)
    client = replace(one.principal, by="client")
    assert (await desk.access.verify(issued.token)).principal == client
    by_admin = await desk.access.issue(desk.app.local_principal, "kiosk", user=one.name)
    assert (await desk.access.verify(by_admin.token)).principal == client


async def test_a_clients_token_makes_no_other_one_and_no_account_and_changes_no_password(desk: Front) -> None:
    admin = await desk.join("admin")
    client = (await desk.access.verify((await desk.access.issue(admin.principal, "editor")).token)).principal
    for refused in (
        desk.access.issue(client, "another"),
        desk.accounts.create(client, "friend@example.org", PASSWORD, "admin"),
        desk.accounts.change(client, PASSWORD, password=f"{PASSWORD}-2"),
    ):
        with pytest.raises(Forbidden, match="a client's token"):
            await refused
    assert len(await desk.recorded("refused", f"user:{admin.id}")) == 3
    assert (await desk.accounts.me(client)).id == admin.id


@pytest.mark.parametrize(
    ("name", "days"),
    [("", 1), (" ", 1), ("x" * 101, 1), ("x", 0), ("x", 367), ("\0", 1)],
    ids=["empty", "blank", "long", "no days", "many days", "NUL"],
)
async def test_a_token_without_bounds_is_not_issued(desk: Front, name: str, days: int) -> None:
    with pytest.raises(InputError):
        await desk.access.issue(desk.app.local_principal, name, days)


async def test_the_private_key_is_in_a_file_of_its_owner_alone_and_nowhere_in_the_database(desk: Front) -> None:
    await desk.enter(await desk.join())
    home = desk.app._parts.settings.home
    (path,) = (home / "keys").glob("*.pem")
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    key = SigningKey.of_pem("", path.read_bytes())
    async with desk.database.read(INSTALLATION) as tx:
        kept = [row.public for row in (await tx.execute(sa.select(key_rows))).all()]
    assert key.public in kept
    assert all(key.private.private_bytes_raw() not in row for row in kept)


async def test_a_key_signs_for_a_month_and_verifies_as_long_as_what_it_signed_is_good(desk: Front) -> None:
    account = await desk.join()
    home = desk.app._parts.settings.home
    old = await desk.access.issue(account.principal, "long", days=366)
    (before,) = signing_keys.files(home)
    async with desk.database.write(INSTALLATION) as tx:
        aged = record.now() - timedelta(days=31)
        await tx.execute(key_rows.update().where(key_rows.c.id == before).values(created_at=aged))

        needed = await tx.scalar(sa.select(key_rows.c.good_until).where(key_rows.c.id == before))
    assert needed is not None
    assert needed >= old.grant.expires_at

    restarted = front(desk.app)
    new = await restarted.enter(account)
    (after,) = signing_keys.files(home)
    assert after != before
    for token in (old.token, new.token):
        for process in (desk, restarted):
            assert (await process.access.verify(token)).principal.user_id == account.id


async def test_a_process_with_another_home_signs_with_a_key_of_its_own_that_all_verify(
    desk: Front, tmp_path: Path
) -> None:
    account = await desk.join()
    entered = await desk.enter(account)
    caller = await desk.access.verify(entered.token)
    elsewhere = Keyring(desk.database, tmp_path, "http://127.0.0.1:4000")
    assert caller.grant_id is not None
    claims = Claims(
        user_id=account.id, organisation_id=account.organisation_id, role="admin", grant_id=caller.grant_id,
        token_id="t", issued_at=record.now(), expires_at=record.now() + timedelta(hours=1),
    )  # fmt: skip
    assert (await desk.access.verify(await elsewhere.signed(claims))).principal.user_id == account.id


async def test_a_token_of_a_key_that_is_not_ours_or_for_a_grant_of_another_is_refused(desk: Front) -> None:
    mine, theirs = await desk.enter(await desk.join()), await desk.enter(await desk.join())
    grant_id = (await desk.access.verify(theirs.token)).grant_id
    assert grant_id is not None
    claims = Claims(
        user_id=mine.account.id, organisation_id=mine.account.organisation_id, role="admin", grant_id=grant_id,
        token_id="t", issued_at=record.now(), expires_at=record.now() + timedelta(hours=1),
    )  # fmt: skip
    foreign = Tokens("http://127.0.0.1:4000").signed(claims, SigningKey.new())
    with pytest.raises(Unauthenticated, match="no key of this server"):
        await desk.access.verify(foreign)
    ours = await Keyring(desk.database, desk.app._parts.settings.home, "http://127.0.0.1:4000").signed(claims)
    with pytest.raises(Unauthenticated, match="revoked"):
        await desk.access.verify(ours)


async def test_what_has_long_expired_is_forgotten_whoever_comes_or_stays_away(desk: Front) -> None:
    long_ago, ago, now = record.now() - timedelta(hours=2), record.now() - timedelta(minutes=5), record.now()
    accounts = {expired: await desk.join() for expired in (long_ago, ago, now + timedelta(days=1))}
    for expired, account in accounts.items():
        await desk.enter(account)
        await desk.oauth.sign_in(account.name, PASSWORD, new_address())  # and goes away without a decision
        async with desk.database.write(INSTALLATION) as tx:
            for table in (grants, refresh_tokens, authorizations):
                theirs = table.update().where(table.c.owner_id == account.id)
                await tx.execute(theirs.values(expires_at=expired))
    await desk.app._care.prune()
    left = []
    async with desk.database.read(INSTALLATION) as tx:
        for account in accounts.values():
            for table in (grants, refresh_tokens, authorizations):
                kept = sa.select(sa.func.count()).select_from(table).where(table.c.owner_id == account.id)
                left.append(await tx.scalar(kept))
    assert left == [0, 0, 0, 2, 1, 1, 2, 1, 1]


async def test_a_flood_of_refused_requests_leaves_few_entries_and_no_work_behind(desk: Front) -> None:
    door = Desk()
    notes = Notes(door)
    notes.take("before the product is open", "192.0.2.77")
    door.opened(desk.app)
    for _ in range(50):
        notes.take("in a flood", "192.0.2.77")
    async with asyncio.timeout(20):
        await asyncio.gather(*notes._writing)
    often = await desk.recorded("request_refused_often")
    assert [entry.payload for entry in often] == [{"address": "192.0.2.77"}]
    entries = await desk.recorded("request_refused")
    assert [entry.payload["reason"] for entry in entries] == ["in a flood"] * 5
    assert {entry.principal for entry in entries} == {"nobody"}


async def test_a_hash_of_lower_cost_is_made_anew_at_the_next_sign_in(desk: Front) -> None:
    account = await desk.join()
    cheap = type(FAST)(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)
    async with desk.database.write(INSTALLATION) as tx:
        await tx.execute(users.update().where(users.c.id == account.id).values(password_hash=cheap))
    await desk.enter(account)
    async with desk.database.read(INSTALLATION) as tx:
        kept = await tx.scalar(sa.select(users.c.password_hash).where(users.c.id == account.id))
    assert kept != cheap
    assert (await desk.enter(account)).account == account


async def test_the_network_of_an_address_is_what_one_subscriber_has() -> None:
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("2001:db8::1") == network("2001:db8::2") != network("2001:db8:0:1::1")
    assert network("no address") == "no address"


async def test_an_account_says_who_asks_with_it() -> None:
    now = record.now()
    account = Account(
        id="u",
        organisation_id="o",
        organisation="x",
        name="n",
        email="e",
        role="viewer",
        created_at=now,
        updated_at=now,
    )
    assert (account.principal.user_id, account.principal.role) == ("u", "viewer")


async def test_a_token_of_an_outside_issuer_is_of_the_account_that_is_linked_with_whom_it_names(desk: Front) -> None:
    async with Issuer() as issuer:
        desk = front(desk.app, issuer=issuer.url)
        admin, account = desk.app.local_principal, await desk.join("agent_manager")
        token = issuer.token(US, sub="idp|1", email=account.email, email_verified=True, role="admin")
        with pytest.raises(Unauthenticated, match="no account is linked") as refusal:
            await desk.access.verify(token)
        assert (refusal.value.subject, "idp" in str(refusal.value)) == ("idp|1", False)

        assert (await desk.accounts.link(admin, account.name, "idp|1")).subject == "idp|1"
        caller = await desk.access.verify(token)
        # The issuer gave it to a client of theirs.
        assert (caller.principal, caller.grant_id) == (replace(account.principal, by="oauth"), None)
        assert await desk.access.ended({caller}) == set()
        await desk.access.verify((await desk.enter(account)).token)  # ours are as good as before
        with pytest.raises(Conflict, match="sign out there"):
            await desk.access.sign_out(caller)

        await desk.accounts.set_role(admin, account.id, "viewer")
        assert await desk.access.ended({caller}) == {caller}
        caller = await desk.access.verify(token)
        assert caller.principal.role == "viewer"
        assert await desk.access.ended({caller}) == set()
        await desk.accounts.link(admin, account.id, None)
        assert await desk.access.ended({caller}) == {caller}
        await desk.accounts.link(admin, account.id, "idp|1")
        await desk.accounts.disable(admin, account.id)
        assert await desk.access.ended({caller}) == {caller}
        with pytest.raises(Unauthenticated, match="account is disabled"):
            await desk.access.verify(token)
        for odd in ("idp|1 ", "IDP|1", "nul\0", "half\ud800"):
            with pytest.raises(Unauthenticated, match="no account is linked"):
                await desk.access.verify(issuer.token(US, sub=odd))
    assert {entry.payload["subject"] for entry in await desk.recorded("user_linked", f"user:{account.id}")} == {"idp|1"}


async def test_a_link_is_of_one_issuer_with_one_account_until_it_is_undone(desk: Front) -> None:
    async with Issuer() as issuer, Issuer() as next_issuer:
        desk, later = front(desk.app, issuer=issuer.url), front(desk.app, issuer=next_issuer.url)
        admin, one, other = desk.app.local_principal, await desk.join(), await desk.join("admin")
        await desk.accounts.link(admin, one.id, "same")
        with pytest.raises(Conflict, match="Another account"):
            await desk.accounts.link(admin, other.id, "same")
        await later.accounts.link(admin, other.id, "same")  # another's word for somebody else
        assert (await desk.access.verify(issuer.token(US, sub="same"))).principal.user_id == one.id
        assert (await later.access.verify(next_issuer.token(US, sub="same"))).principal.user_id == other.id
        for server, token in ((desk, next_issuer.token(US, sub="same")), (later, issuer.token(US, sub="same"))):
            with pytest.raises(Unauthenticated):
                await server.access.verify(token)

        await desk.accounts.link(admin, one.id, "renamed")
        await desk.accounts.link(admin, one.id, None)
        for subject in ("same", "renamed"):
            with pytest.raises(Unauthenticated, match="no account is linked"):
                await desk.access.verify(issuer.token(US, sub=subject))


async def test_only_administrators_link_and_none_what_is_beyond_them(desk: Front) -> None:
    linking = front(desk.app, issuer="https://login.example").accounts
    boss, helper, user = await desk.join("admin"), await desk.join("org_admin"), await desk.join("agent_manager")
    refusals: list[tuple[Principal, str, str | None, type[VelError]]] = [
        (user.principal, helper.id, "x", Forbidden),
        (helper.principal, boss.id, "x", Forbidden),
        (boss.principal, boss.id, "x", Conflict),
        (boss.principal, "nobody", "x", NotFound),
        (boss.principal, user.id, "", InputError),
        (boss.principal, user.id, "x" * 256, InputError),
        (boss.principal, user.id, "nul\0", InputError),
    ]
    for who, whom, subject, kind in refusals:
        with pytest.raises(kind):
            await linking.link(who, whom, subject)
    with pytest.raises(ConfigurationError, match="VEL_TUTOR_OIDC_ISSUER"):
        await desk.accounts.link(boss.principal, user.id, "x")
    assert (await linking.link(helper.principal, user.id, "x")).subject == "x"
