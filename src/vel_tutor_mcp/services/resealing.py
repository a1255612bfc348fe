"""All that is stored sealed is sealed anew where a new secret key has come in front of the others."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.auth.sealing import Sealed, SecretKeys
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.permission import acts_for
from vel_tutor_mcp.store import audit, integrations, webhooks
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.integrations import Integration
from vel_tutor_mcp.store.webhooks import Webhook

_BATCH = 100


class Keeper(Protocol):
    """What something sealed is stored with."""

    @property
    def id(self) -> str: ...
    @property
    def owner_id(self) -> str: ...
    @property
    def sealed(self) -> tuple[Sealed, ...]: ...


Row = TypeVar("Row", bound=Keeper)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many were sealed anew, how many had been already, and why some were left as they are."""

    sealed: int
    current: int
    unopened: tuple[str, ...]

    def __add__(self, other: "Rotation") -> "Rotation":
        return Rotation(self.sealed + other.sealed, self.current + other.current, (*self.unopened, *other.unopened))


@dataclass(frozen=True, slots=True)
class _Kind(Generic[Row]):
    """How rows of a kind are read, after an id, so many; stored; called in words; and recorded."""

    after: Callable[[Transaction, str | None, int], Awaitable[Sequence[Row]]]
    reseal: Callable[[Transaction, Row, Sequence[bytes]], Awaitable[bool]]
    told: Callable[[Row], str]
    audit: Callable[[Transaction, Principal, Row], Awaitable[None]]


async def reseal_all(database: Database, secret_keys: SecretKeys, principal: Principal) -> Rotation:
    """Seal everything anew that was not sealed by the first secret key; may be stopped and repeated at any point."""
    again = _Again(database, secret_keys, principal)
    return await again.all_of(_INTEGRATIONS) + await again.all_of(_WEBHOOKS)


@dataclass(frozen=True, slots=True)
class _Again:
    database: Database
    secret_keys: SecretKeys
    principal: Principal

    async def all_of(self, kind: _Kind[Row]) -> Rotation:
        sealed, current, unopened, after = 0, 0, [], None
        while batch := await self._batch(kind, after):
            after = batch[-1].id
            for seen in batch:
                try:
                    anew = await in_thread(partial(self._anew, seen.sealed))
                except ConfigurationError as problem:
                    unopened.append(f"{kind.told(seen)} of {seen.owner_id}: {problem}")
                    continue
                sealed += bool(anew) and await self._reseal(kind, seen, anew)
                current += not anew
        return Rotation(sealed, current, tuple(unopened))

    def _anew(self, values: Sequence[Sealed]) -> list[bytes]:
        """Each of them, sealed anew; none where all are by the first key already."""
        keys = self.secret_keys
        if all(keys.is_current(sealed.value) for sealed in values):
            return []
        return [keys.seal(keys.opened(sealed), sealed.purpose, sealed.context) for sealed in values]

    @unbroken
    async def _batch(self, kind: _Kind[Row], after: str | None) -> Sequence[Row]:
        async with self.database.read(acts_for(self.principal, Operation.INTEGRATION_ROTATE)) as tx:
            return await kind.after(tx, after, _BATCH)

    @unbroken
    async def _reseal(self, kind: _Kind[Row], seen: Row, anew: Sequence[bytes]) -> bool:
        async with self.database.write(acts_for(self.principal, Operation.INTEGRATION_ROTATE)) as tx:
            # Not where another key was stored meanwhile: that one is sealed by the first secret key already.
            done = await kind.reseal(tx, seen, anew)
            if done:
                await kind.audit(tx, self.principal, seen)
        return done


async def _audit_integration(tx: Transaction, principal: Principal, seen: Integration) -> None:
    facts = {"provider": seen.provider, "status": seen.status.value, "owner_id": seen.owner_id}
    await audit.append(tx, principal, "integration_resealed", f"integration:{seen.id}", facts, record.now())


async def _audit_webhook(tx: Transaction, principal: Principal, seen: Webhook) -> None:
    facts = {"owner_id": seen.owner_id}
    await audit.append(tx, principal, "webhook_resealed", f"webhook:{seen.id}", facts, record.now())


_INTEGRATIONS = _Kind(integrations.with_keys, integrations.reseal, lambda seen: seen.provider, _audit_integration)
_WEBHOOKS = _Kind(webhooks.after, webhooks.reseal, lambda seen: f"webhook {seen.id}", _audit_webhook)
