"""Accounts: made by administrators, changed by whom they are of."""

from datetime import datetime
from typing import Any, get_args
from uuid import uuid4

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.roles import Operation, Reach, may_give, may_to, reach
from vel_tutor_mcp.errors import ConfigurationError, Conflict, Forbidden, InputError
from vel_tutor_mcp.models import LONGEST_SUBJECT, Page, Principal, Role, Start
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.agents import ensure_default
from vel_tutor_mcp.services.credentials import Credentials, is_email, normal
from vel_tutor_mcp.services.inputs import check_text
from vel_tutor_mcp.services.lookup import account_of
from vel_tutor_mcp.services.permission import acts_for, allows
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.workflows import ensure_templates
from vel_tutor_mcp.store import accounts, audit, grants, people, webhook_deliveries
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.isolation import everywhere

_MAX_NAME_CHARACTERS = 100
# What the original called it.
_ALIASES: dict[str, Role] = {"user": "task_executor"}


class Accounts:
    """What the product does with accounts, for every door; `issuer` is whose tokens are taken beside our own."""

    def __init__(self, database: Database, credentials: Credentials, issuer: str | None = None) -> None:
        self._database = database
        self._credentials = credentials
        self._issuer = issuer

    @allows(Operation.USER_WRITE)
    async def create(
        self, principal: Principal, email: str, password: str, role: Role, organisation: str | None = None
    ) -> Account:
        """A new account, with an agent `default` and the shipped templates.

        `organisation` is a name; left out, it is the principal's. An admin makes one that is not there yet.

        Raises:
            Forbidden: the principal may not, there, or not with this role. Conflict: the e-mail has an account.
            InputError: e-mail, password or organisation are out of bounds.
        """
        _check_giving(principal, role)
        email = _checked(email)
        # Before the transaction: while the processor is at it, nobody else could write.
        password_hash = await self._credentials.hashed(password)
        return await self._insert(principal, email, password_hash, role, organisation)

    @allows(Operation.USER_READ)
    @unbroken
    async def list(
        self, principal: Principal, *, role: Role | None = None, limit: int = 20, cursor: Start = None
    ) -> Page[Account]:
        """The accounts that the principal looks after, newest first."""
        async with self._database.read(acts_for(principal, Operation.USER_READ)) as tx:
            return await accounts.page(tx, _within(principal), role, limit, cursor)

    @allows(Operation.USER_WRITE)
    @unbroken
    async def set_role(self, principal: Principal, user: str, role: Role) -> Account:
        """Give the user another role, from their next request on.

        Raises:
            NotFound: no such user. Forbidden: neither the role they have nor the new one may be beyond the principal's.
            Conflict: it is the principal themselves.
        """
        _check_giving(principal, role)
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            account = await self._other(tx, principal, user)
            at = record.now()
            await accounts.update(tx, account.id, role=role, updated_at=at)
            facts = {"before": account.role, "role": role}
            await audit.append(tx, principal, "user_role_changed", f"user:{account.id}", facts, at)
            return await _again(tx, account)

    @allows(Operation.USER_WRITE)
    @unbroken
    async def disable(self, principal: Principal, user: str) -> Account:
        """End all that the user is signed in by, let them in no more, and tell their webhooks nothing more.

        Raises:
            NotFound: no such user. Forbidden: their role is beyond the principal's. Conflict: see `set_role`.
        """
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            account = await self._other(tx, principal, user)
            at = record.now()
            if account.disabled_at is None:
                await webhook_deliveries.give_up(tx, owner_id=account.id)
                await _sign_out(tx, principal, account, "user_disabled", at, disabled_at=at)
            return await _again(tx, account)

    @allows(Operation.USER_WRITE)
    @unbroken
    async def enable(self, principal: Principal, user: str) -> Account:
        """Let a disabled user in again, who signs in anew: what they were signed in by stays ended.

        Raises:
            NotFound: no such user. Forbidden: their role is beyond the principal's. Conflict: see `set_role`.
        """
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            account = await self._other(tx, principal, user)
            if account.disabled_at is not None:
                # Earlier versions issued tokens to disabled accounts too.
                await _sign_out(tx, principal, account, "user_enabled", record.now(), disabled_at=None)
            return await _again(tx, account)

    @allows(Operation.USER_WRITE)
    async def set_password(self, principal: Principal, user: str, password: str) -> Account:
        """Give a user who forgot theirs another password; that ends all that they are signed in by.

        Raises:
            NotFound: no such user. Forbidden: their role is beyond the principal's. Conflict: see `set_role`, or they
                are of the operating system. InputError: the password is too easily guessed.
        """
        password_hash = await self._credentials.hashed(password)
        return await self._set_password(principal, user, password_hash)

    @allows(Operation.USER_WRITE)
    @unbroken
    async def link(self, principal: Principal, user: str, subject: str | None) -> Account:
        """Let whom the outside issuer calls so come in as the user; with None nobody any more.

        Raises:
            ConfigurationError: there is no outside issuer. InputError: it cannot call anyone so.
            NotFound: no such user. Forbidden: their role is beyond the principal's.
            Conflict: another account is linked with it, or see `set_role`.
        """
        if self._issuer is None:
            raise ConfigurationError(
                "Nobody can be linked; there is no outside issuer; name it with VEL_TUTOR_OIDC_ISSUER."
            )
        if subject is not None:
            _check_subject(subject)
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            account = await self._other(tx, principal, user)
            if subject is not None:
                await _refuse_linked(tx, self._issuer, subject, account)
            issuer, at = None if subject is None else self._issuer, record.now()
            await accounts.update(tx, account.id, oidc_issuer=issuer, oidc_subject=subject, updated_at=at)
            what, facts = ("user_unlinked", {}) if subject is None else ("user_linked", {"subject": subject})
            await audit.append(tx, principal, what, f"user:{account.id}", facts, at)
            return await _again(tx, account)

    @allows(Operation.PROFILE_READ)
    @unbroken
    async def me(self, principal: Principal) -> Account:
        """The principal's own account."""
        async with self._database.read(principal.organisation_id) as tx:
            return await account_of(tx, principal, Operation.PROFILE_READ, principal.user_id)

    @allows(Operation.PROFILE_WRITE)
    async def change(
        self,
        principal: Principal,
        current_password: str,
        *,
        email: str | None = None,
        password: str | None = None,
        address: str = "",
    ) -> Account:
        """Change the principal's own e-mail or password; a new password ends all that they are signed in by.

        Raises:
            Unauthenticated: the current password is another. TooManyTries: it was guessed too often.
            Conflict: the e-mail has an account. InputError: the new e-mail or password is out of bounds.
        """
        account = await self._credentials.confirmed(principal, current_password, address)
        new_email = _checked(email) if email is not None else account.email
        new_hash = await self._credentials.hashed(password) if password is not None else None
        return await self._change(principal, account, new_email, new_hash)

    @unbroken
    async def _insert(
        self, principal: Principal, email: str, password_hash: str, role: Role, organisation: str | None
    ) -> Account:
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            at = record.now()
            await _refuse_taken(tx, principal, email)
            organisation_id, name = await self._organisation(tx, principal, organisation)
            account = Account(
                id=str(uuid4()),
                organisation_id=organisation_id,
                organisation=name,
                name=email,
                email=email,
                role=role,
                created_at=at,
                updated_at=at,
            )
            await accounts.insert(tx, account, password_hash)
            facts = {"name": email, "role": role, "organisation": name}
            await audit.append(tx, principal, "user_created", f"user:{account.id}", facts, at)
            await ensure_default(tx, account.principal)
            await ensure_templates(tx, account.principal)
        return account

    async def _organisation(self, tx: Transaction, principal: Principal, name: str | None) -> tuple[str, str]:
        own = await people.organisation_name(tx, principal.organisation_id)
        if name in {None, own}:
            return principal.organisation_id, own
        assert name is not None
        if reach(principal.role, Operation.USER_WRITE) is not Reach.INSTALLATION:
            raise Forbidden("You may not add people there; you look after your own organisation; leave the other out.")
        check_text("organisation", name)
        if not name.strip() or len(name) > _MAX_NAME_CHARACTERS:
            raise InputError(
                f"The organisation's name is out of bounds; it has 1 to {_MAX_NAME_CHARACTERS} characters."
            )
        found = await accounts.organisation_named(tx, name)
        if found is None:
            found, at = str(uuid4()), record.now()
            await accounts.add_organisation(tx, found, name, at)
            await audit.append(tx, principal, "organisation_created", f"organisation:{found}", {"name": name}, at)
        return found, name

    async def _other(self, tx: Transaction, principal: Principal, user: str) -> Account:
        """The user, who is another one, and whose role the principal may give or take."""
        account = await account_of(tx, principal, Operation.USER_WRITE, user)
        if account.id == principal.user_id:
            raise Conflict("You cannot do this to yourself; you could not undo it; ask another administrator.")
        _check_giving(principal, account.role)
        return account

    @unbroken
    async def _set_password(self, principal: Principal, user: str, password_hash: str) -> Account:
        async with self._database.write(acts_for(principal, Operation.USER_WRITE)) as tx:
            account = await self._other(tx, principal, user)
            if account.email is None:
                raise Conflict(
                    "The password is not set; the user is one of the operating system, who signs in by none; name "
                    "one with an e-mail."
                )
            at = record.now()
            await _sign_out(tx, principal, account, "user_password_reset", at, password_hash=password_hash)
            return await _again(tx, account)

    @unbroken
    async def _change(
        self, principal: Principal, account: Account, email: str | None, password_hash: str | None
    ) -> Account:
        async with self._database.write(principal.organisation_id) as tx:
            at = record.now()
            if email is not None and email != account.email:
                await _refuse_taken(tx, principal, email)
                await accounts.update(tx, account.id, email=email, name=email, updated_at=at)
                await audit.append(tx, principal, "user_email_changed", f"user:{account.id}", {}, at)
            if password_hash is not None:
                await _sign_out(tx, principal, account, "user_password_changed", at, password_hash=password_hash)
            return await _again(tx, account)


def shown(account: Account) -> dict[str, Any]:
    """What whoever may see the account is told of it."""
    return {
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "role": account.role,
        "organisation": account.organisation,
        "organisation_id": account.organisation_id,
        "subject": account.subject,
        "disabled_at": moment(account.disabled_at),
        "created_at": moment(account.created_at),
        "updated_at": moment(account.updated_at),
    }


def role_named(name: str) -> Role:
    """Raises:
    InputError: there is no such role.
    """
    wanted = _ALIASES.get(name, name)
    for role in get_args(Role):
        if role == wanted:
            found: Role = role
            return found
    raise InputError(f"There is no such role; roles are {', '.join(get_args(Role))}; choose one of these.")


def _within(principal: Principal) -> str | None:
    """The organisation that the principal looks after; None for all."""
    everywhere = reach(principal.role, Operation.USER_READ) is Reach.INSTALLATION
    return None if everywhere else principal.organisation_id


def _check_giving(principal: Principal, role: Role) -> None:
    if not may_give(principal.role, role):
        raise Forbidden(f"You may not do this; {role} is beyond your own role, {principal.role}; ask an administrator.")


def _checked(email: str) -> str:
    kept = normal(email)
    if kept != email.strip().lower() or not is_email(kept):
        raise InputError("This is no e-mail; it looks like name@host, of at most 160 characters; correct it.")
    return kept


def _check_subject(subject: str) -> None:
    check_text("subject", subject)
    if not 0 < len(subject) <= LONGEST_SUBJECT:
        raise InputError(f"The subject is out of bounds; it has 1 to {LONGEST_SUBJECT} characters; see the issuer's.")


async def _sign_out(
    tx: Transaction, principal: Principal, account: Account, action: str, at: datetime, **changes: Any
) -> None:
    """Change the account, and end all that it is signed in by: on record as the action."""
    await accounts.update(tx, account.id, **changes, updated_at=at)
    facts = {"revoked": await grants.revoke_all(tx, account.id, at)}
    await audit.append(tx, principal, action, f"user:{account.id}", facts, at)


async def _refuse_taken(tx: Transaction, principal: Principal, email: str) -> None:
    # Of all organisations: who signs in by an e-mail names none.
    async with everywhere(tx):
        found = await accounts.with_password(tx, email=email)
    if found is None:
        return
    account, _ = found
    theirs = may_to(principal, Operation.USER_WRITE, account.organisation_id, account.id)
    if theirs and account.disabled_at is not None:
        raise Conflict(
            "This e-mail has an account already; it is disabled; let it in again with `user enable`, or use another "
            "e-mail."
        )
    raise Conflict("This e-mail has an account already; one is enough; change it, or use another e-mail.")


async def _refuse_linked(tx: Transaction, issuer: str, subject: str, account: Account) -> None:
    async with everywhere(tx):
        found = await accounts.linked(tx, issuer, subject)
    if found is not None and found.id != account.id:
        raise Conflict("Another account is linked with this subject; one is enough; unlink that one first.")


async def _again(tx: Transaction, account: Account) -> Account:
    found = await accounts.get(tx, account.id)
    assert found is not None
    return found
