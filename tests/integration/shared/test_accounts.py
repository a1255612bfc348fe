"""Accounts: who makes them, what with, who changes them, and what that does to those who are signed in."""

import pytest
import sqlalchemy as sa
from people import Front
from planted import OTHER_PASSWORD, PASSWORD

from vel_tutor_mcp.errors import Conflict, Forbidden, InputError, NotFound, TooManyTries, Unauthenticated
from vel_tutor_mcp.models import Role
from vel_tutor_mcp.services.accounts import role_named
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import users

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def values() -> dict[str, int]:
    return {"concurrency": 0}


async def test_a_new_account_can_begin_at_once(desk: Front) -> None:
    account = await desk.join("task_executor")
    assert (account.organisation, account.name) == ("default", account.email)
    assert [agent.name for agent in (await desk.app.agents.list(account.principal)).rows] == ["default"]
    assert len(await desk.app.workflows.templates(account.principal)) == 3
    assert await desk.accounts.me(account.principal) == account
    (entry,) = await desk.recorded("user_created", f"user:{account.id}")
    assert entry.payload == {"name": "[masked e mail]", "role": "task_executor", "organisation": "default"}


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("x@example.org", "short1A"), ("no e-mail", PASSWORD), ("@example.org", PASSWORD), ("x@", PASSWORD),
        ("a b@example.org", PASSWORD), ("x\0@example.org", PASSWORD), (f"{'x' * 160}@e.org", PASSWORD),
    ],
    ids=["password", "no at", "no name", "no host", "space", "NUL", "long"],
)  # fmt: skip
async def test_an_account_out_of_bounds_is_not_made(desk: Front, email: str, password: str) -> None:
    with pytest.raises(InputError) as refusal:
        await desk.accounts.create(desk.app.local_principal, email, password, "viewer")
    assert password not in str(refusal.value)


async def test_an_e_mail_has_one_account_however_it_is_written(desk: Front) -> None:
    account = await desk.join()
    with pytest.raises(Conflict, match="has an account already"):
        await desk.accounts.create(
            desk.app.local_principal, f" {account.name.upper()}", PASSWORD, "viewer", "elsewhere"
        )


@pytest.mark.parametrize("role", ["agent_manager", "task_executor", "viewer"])
async def test_only_administrators_look_after_accounts(desk: Front, role: Role) -> None:
    me, other = (await desk.join(role)).principal, await desk.join()
    for refused in (
        desk.accounts.create(me, "friend@example.org", PASSWORD, "viewer"),
        desk.accounts.list(me),
        desk.accounts.set_role(me, other.id, "viewer"),
        desk.accounts.disable(me, other.id),
        desk.accounts.enable(me, other.id),
        desk.accounts.set_password(me, other.id, OTHER_PASSWORD),
    ):
        with pytest.raises(Forbidden, match=role):
            await refused


async def test_an_organisations_administrator_looks_after_its_people_and_no_others(desk: Front) -> None:
    chief = (await desk.join("org_admin", "staffed")).principal
    member = await desk.accounts.create(chief, "member@acme.example", PASSWORD, "task_executor")
    stranger, top = await desk.join(), await desk.join("admin", "staffed")
    assert {row.name for row in (await desk.accounts.list(chief)).rows} == {chief.name, member.name, top.name}
    assert (await desk.accounts.set_role(chief, member.name, "viewer")).role == "viewer"

    for unknown in (stranger.id, stranger.name, desk.app.local_principal.user_id, "nobody"):
        with pytest.raises(NotFound, match="no such user"):
            await desk.accounts.disable(chief, unknown)
        with pytest.raises(NotFound, match="no such user"):
            await desk.accounts.enable(chief, unknown)
        with pytest.raises(NotFound, match="no such user"):
            await desk.accounts.set_role(chief, unknown, "viewer")
    for beyond in (
        desk.accounts.set_role(chief, member.id, "admin"),
        desk.accounts.disable(chief, top.id),
        desk.accounts.enable(chief, top.id),
        desk.accounts.set_password(chief, top.id, OTHER_PASSWORD),
        desk.accounts.create(chief, "x@example.org", PASSWORD, "admin"),
        desk.accounts.create(chief, "x@example.org", PASSWORD, "viewer", "default"),
        desk.accounts.create(chief, "x@example.org", PASSWORD, "viewer", "new"),
    ):
        with pytest.raises(Forbidden):
            await beyond


async def test_nobody_locks_themselves_out(desk: Front) -> None:
    me = desk.app.local_principal
    for refused in (desk.accounts.disable(me, me.user_id), desk.accounts.set_role(me, me.name, "viewer")):
        with pytest.raises(Conflict, match="to yourself"):
            await refused


async def test_another_role_holds_from_the_next_request_on(desk: Front) -> None:
    account = await desk.join("viewer")
    entered = await desk.enter(account)
    await desk.accounts.set_role(desk.app.local_principal, account.id, "agent_manager")
    assert (await desk.access.verify(entered.token)).principal.role == "agent_manager"
    (entry,) = await desk.recorded("user_role_changed", f"user:{account.id}")
    assert entry.payload == {"before": "viewer", "role": "agent_manager"}


async def test_who_is_disabled_is_out_at_once(desk: Front) -> None:
    account = await desk.join()
    entered, issued = await desk.enter(account), await desk.access.issue(account.principal, "editor")
    assert (await desk.accounts.disable(desk.app.local_principal, account.id)).disabled_at is not None
    for token in (entered.token, issued.token):
        with pytest.raises(Unauthenticated, match="disabled"):
            await desk.access.verify(token)
    with pytest.raises(Unauthenticated):
        await desk.access.refresh(entered.refresh_token, "")
    (entry,) = await desk.recorded("user_disabled", f"user:{account.id}")
    assert entry.payload == {"revoked": 2}


async def test_who_is_enabled_again_signs_in_anew_and_by_nothing_from_before(desk: Front) -> None:
    admin, account = desk.app.local_principal, await desk.join()
    entered, issued = await desk.enter(account), await desk.access.issue(account.principal, "editor")
    await desk.accounts.disable(admin, account.id)
    assert (await desk.accounts.enable(admin, account.name)).disabled_at is None
    for token in (entered.token, issued.token):
        with pytest.raises(Unauthenticated, match="revoked"):
            await desk.access.verify(token)
    with pytest.raises(Unauthenticated):
        await desk.access.refresh(entered.refresh_token, "")
    assert (await desk.access.verify((await desk.enter(account)).token)).principal == account.principal
    await desk.accounts.enable(admin, account.id)  # they are let in already
    assert len(await desk.recorded("user_enabled", f"user:{account.id}")) == 1


async def test_an_e_mail_of_a_disabled_account_is_told_as_that_to_who_may_enable_it(desk: Front) -> None:
    account = await desk.join()
    await desk.accounts.disable(desk.app.local_principal, account.id)
    with pytest.raises(Conflict, match=r"is disabled.*`user enable`"):
        await desk.accounts.create(desk.app.local_principal, account.name, PASSWORD, "viewer")
    stranger = (await desk.join("org_admin", "acme")).principal
    with pytest.raises(Conflict, match=r"^This e-mail has an account already; one is enough"):
        await desk.accounts.create(stranger, account.name, PASSWORD, "viewer")


@pytest.mark.parametrize("action", ["user_password_changed", "user_password_reset"])
async def test_a_new_password_ends_all_that_the_old_one_opened_whoever_gave_it(desk: Front, action: str) -> None:
    admin, account = desk.app.local_principal, await desk.join()
    entered, issued = await desk.enter(account), await desk.access.issue(account.principal, "editor")
    if action == "user_password_changed":
        await desk.accounts.change(account.principal, PASSWORD, password=OTHER_PASSWORD)
    else:
        await desk.accounts.set_password(admin, account.name, OTHER_PASSWORD)
    for token in (entered.token, issued.token):
        with pytest.raises(Unauthenticated):
            await desk.access.verify(token)
    with pytest.raises(Unauthenticated):
        await desk.enter(account)
    assert (await desk.enter(account, OTHER_PASSWORD)).account.id == account.id
    (entry,) = await desk.recorded(action, f"user:{account.id}")
    assert entry.payload == {"revoked": 2}


async def test_a_poor_password_is_given_to_nobody(desk: Front) -> None:
    account = await desk.join()
    with pytest.raises(InputError):
        await desk.accounts.set_password(desk.app.local_principal, account.id, "short1A")
    assert (await desk.enter(account)).account == account


async def test_a_user_of_the_operating_system_is_given_no_password(desk: Front) -> None:
    account = await desk.join()
    async with desk.database.write(INSTALLATION) as tx:
        await tx.execute(users.update().where(users.c.id == account.id).values(email=None))
    with pytest.raises(Conflict, match="one of the operating system"):
        await desk.accounts.set_password(desk.app.local_principal, account.id, OTHER_PASSWORD)


async def test_without_the_current_password_nothing_is_changed_and_guessing_is_bounded(desk: Front) -> None:
    account = await desk.join()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await desk.accounts.change(
                account.principal, OTHER_PASSWORD, password=OTHER_PASSWORD, email="thief@example.org"
            )
    with pytest.raises(TooManyTries):
        await desk.accounts.change(account.principal, PASSWORD, password=OTHER_PASSWORD)
    assert await desk.accounts.me(account.principal) == account


async def test_an_e_mail_is_changed_and_signs_in_from_then_on(desk: Front) -> None:
    account, other = await desk.join(), await desk.join()
    changed = await desk.accounts.change(account.principal, PASSWORD, email=f"New-{account.name}")
    assert changed.email == f"new-{account.name}"
    assert (await desk.enter(changed)).account == changed
    with pytest.raises(Conflict):
        await desk.accounts.change(changed.principal, PASSWORD, email=other.email)


async def test_the_local_user_has_no_password_that_could_be_changed_or_guessed(desk: Front) -> None:
    with pytest.raises(Unauthenticated):
        await desk.accounts.change(desk.app.local_principal, PASSWORD, password=OTHER_PASSWORD)
    with pytest.raises(Unauthenticated):
        await desk.access.sign_in(desk.app.local_principal.name, PASSWORD, "192.0.2.99")


async def test_accounts_are_listed_by_role_and_page(desk: Front) -> None:
    for _ in range(3):
        await desk.join("viewer", "listed")
    chief = (await desk.join("org_admin", "listed")).principal
    first = await desk.accounts.list(chief, role="viewer", limit=2)
    rest = await desk.accounts.list(chief, role="viewer", limit=2, cursor=first.cursor)
    assert (len(first.rows), len(rest.rows), rest.cursor) == (2, 1, None)
    assert {row.role for row in first.rows + rest.rows} == {"viewer"}


async def test_roles_go_by_the_name_of_the_original_too() -> None:
    assert role_named("user") == "task_executor"
    with pytest.raises(InputError, match="no such role"):
        role_named("root")


async def test_no_password_is_anywhere_in_the_rows(desk: Front) -> None:
    account = await desk.join()
    entered = await desk.enter(account)
    issued = await desk.access.issue(account.principal, "editor")
    with pytest.raises(Unauthenticated):
        await desk.enter(account, OTHER_PASSWORD)
    async with desk.database.read(INSTALLATION) as tx:
        kept = [*(await tx.execute(sa.select(users))).all(), *(await tx.execute(sa.select(audit_logs))).all()]
    text = repr(kept)
    assert account.name in text
    for secret in (PASSWORD, OTHER_PASSWORD, entered.token, entered.refresh_token, issued.token):
        assert secret not in text
