"""Whether a password is an account's: throttled, at the same pace for accounts that are not there, on the record."""

import asyncio
import hashlib
from typing import TYPE_CHECKING

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.networks import network
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Unauthenticated
from vel_tutor_mcp.models import LONGEST_NAME, Principal
from vel_tutor_mcp.services import record, throttle
from vel_tutor_mcp.services.inputs import storable
from vel_tutor_mcp.store import accounts, audit
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken

if TYPE_CHECKING:
    from vel_tutor_mcp.auth.passwords import Passwords

NOBODY = "00000000-0000-0000-0000-000000000000"
# Each takes 64 MiB and a processor.
_HASHES_AT_ONCE = 2
# The longest that are taken, and one more: what is cut still fits nothing.
_LONGEST_PASSWORD = 73


class Credentials:
    """`installation` is the organisation in whose audit trail stands what nobody in particular did.

    Attributes:
        nobody: who is asking where that is not known.
    """

    def __init__(self, database: Database, installation: str, passwords: "Passwords | None" = None) -> None:
        self._database = database
        self.nobody = Principal(user_id=NOBODY, organisation_id=installation, name="nobody", role="viewer")
        self._passwords = passwords
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    async def hashed(self, password: str) -> str:
        """Raises:
        InputError: the password is too easily guessed.
        """
        from vel_tutor_mcp.auth.passwords import check_password

        check_password(password)
        async with self._hashing:
            return await in_thread(lambda: self._hasher.hashed(password))

    async def signing_in(self, email: str, password: str, address: str) -> Account:
        """The account of this e-mail and password, which is not disabled.

        Raises:
            Unauthenticated: there is none; it does not say why. TooManyTries: of this account, or from this address.
        """
        email = normal(email)
        await self._admit(email, address)
        return await self._checked(await self._kept(INSTALLATION, email=email), password, address)

    async def confirmed(self, principal: Principal, password: str, address: str) -> Account:
        """The principal's account, where this is its password.

        Raises:
            Unauthenticated: it is not. TooManyTries: of this account, or from this address.
        """
        kept = await self._kept(principal.organisation_id, user_id=principal.user_id)
        # By the e-mail, as `signing_in` does: the tries of both are counted together.
        await self._admit((kept and kept[0].email) or principal.user_id, address)
        return await self._checked(kept, password, address)

    @property
    def _hasher(self) -> "Passwords":
        if self._passwords is None:
            from vel_tutor_mcp.auth.passwords import Passwords

            self._passwords = Passwords()
        return self._passwords

    async def _admit(self, email: str, address: str) -> None:
        async def refused(tx: Transaction) -> None:
            facts = {"address": address}
            await audit.append(tx, self.nobody, "sign_in_throttled", "sign_in", facts, record.now())

        of_account = hashlib.sha256(email.encode(errors="replace")).hexdigest()
        await throttle.admit(self._database, (f"account:{of_account}", f"address:{network(address)}"), refused)

    async def _checked(self, kept: tuple[Account, str | None] | None, password: str, address: str) -> Account:
        account, password_hash = kept or (None, None)
        cut = password[:_LONGEST_PASSWORD]
        # Also where there is no account, or without a password: a quick answer would tell that.
        async with self._hashing:
            fits = await in_thread(lambda: self._hasher.fits(cut, password_hash))
        if account is None or password_hash is None or not fits or account.disabled_at is not None:
            await self._record_failure(account, address)
            raise Unauthenticated("You are not signed in; e-mail or password are wrong; correct them and try again.")
        if self._hasher.outdated(password_hash):
            await self._keep_anew(account, await self.hashed(password))
        return account

    @unbroken
    async def _kept(
        self, within: str, *, email: str | None = None, user_id: str | None = None
    ) -> tuple[Account, str | None] | None:
        async with self._database.read(within) as tx:
            return await accounts.with_password(tx, email=email, user_id=user_id)

    @unbroken
    async def _record_failure(self, account: Account | None, address: str) -> None:
        who = account.principal if account else self.nobody
        subject = f"user:{account.id}" if account else "sign_in"
        async with self._database.write(who.organisation_id) as tx:
            await audit.append(tx, who, "sign_in_failed", subject, {"address": address}, record.now())

    @unbroken
    async def _keep_anew(self, account: Account, password_hash: str) -> None:
        async with self._database.write(account.organisation_id) as tx:
            await accounts.update(tx, account.id, password_hash=password_hash)


def normal(email: str) -> str:
    """The e-mail as it is kept; what cannot be one stays none."""
    return storable(email.strip().lower()[: LONGEST_NAME + 1])


def is_email(email: str) -> bool:
    """Whether it looks like one; whether it is one, only a letter to it would tell."""
    name, at, host = email.rpartition("@")
    return bool(name and at and host) and len(email) <= LONGEST_NAME and email.isprintable() and " " not in email
