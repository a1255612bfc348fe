"""The keys of tokens: this home's own signs, everyone's verify. A new one signs from month to month."""

import hashlib
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Unauthenticated
from vel_tutor_mcp.services import record
from vel_tutor_mcp.store import signing_keys
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from vel_tutor_mcp.auth.tokens import Claims, SigningKey, Tokens

SIGNS_FOR = timedelta(days=30)
# So much longer every key is kept: more than the life of a token of a sign-in.
_SPARE = timedelta(days=2)
# Tokens whose signature was good are known again by their hash, until they expire; what was revoked is not asked here.
_MOST_VERIFIED = 10_000


class Keyring:
    """Signs tokens with the key in the home's folder `keys`, which it makes, and verifies what any home has signed.

    `url` is the server's own, for which its tokens are good.
    """

    def __init__(self, database: Database, home: Path, url: str) -> None:
        self._database = database
        self._home = home
        self._url = url
        self._own: tuple[SigningKey, datetime] | None = None
        self._public: dict[str, Ed25519PublicKey] = {}
        self._verified: dict[bytes, Claims] = {}

    async def signed(self, claims: "Claims") -> str:
        """Raises:
        ConfigurationError: the key cannot be kept.
        """
        key, until = await self._signing()
        # A client's token may be good for a year: its key must verify as long.
        if claims.expires_at > until + _SPARE:
            await self._keep_until(key.id, claims.expires_at)
        return self._tokens.signed(claims, key)

    async def verified(self, token: str) -> "Claims":
        """Raises:
        Unauthenticated: see `Tokens.verified`.
        """
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None and known.expires_at > record.now():
            return known
        claims = await self._verified_anew(token)
        if len(self._verified) >= _MOST_VERIFIED:
            # All at once: each comes back at the cost of one signature.
            self._verified.clear()
        self._verified[digest] = claims
        return claims

    async def _verified_anew(self, token: str) -> "Claims":
        from vel_tutor_mcp.auth.tokens import key_id, public_key

        named = key_id(token)
        if named not in self._public:
            found = await self._find(named)
            if found is None:
                raise Unauthenticated("The token is not valid; no key of this server has signed it; sign in again.")
            self._public[named] = public_key(found)
        return self._tokens.verified(token, self._public)

    @cached_property
    def _tokens(self) -> "Tokens":
        from vel_tutor_mcp.auth.tokens import Tokens

        return Tokens(self._url)

    async def _signing(self) -> "tuple[SigningKey, datetime]":
        """The key, and until when it signs."""
        if self._own is None or self._own[1] <= record.now():
            # A process that starts goes on with the key of the one before.
            self._own = await self._kept() or await self._new()
        return self._own

    async def _kept(self) -> "tuple[SigningKey, datetime] | None":
        """The newest of this home's keys that still signs."""
        from vel_tutor_mcp.auth.tokens import SigningKey

        files = signing_keys.files(self._home)
        found = await self._newest(list(files))
        if found is None:
            return None
        key_id, since = found
        try:
            return SigningKey.of_pem(key_id, files[key_id].read_bytes()), since + SIGNS_FOR
        except (OSError, ValueError):  # damaged, or not ours to read: a new one signs as well
            return None

    async def _new(self) -> "tuple[SigningKey, datetime]":
        from vel_tutor_mcp.auth.tokens import SigningKey

        key, at = SigningKey.new(), record.now()
        older = list(signing_keys.files(self._home))
        # On file, then known to those who verify, then alone: a crash in between leaves a file too many, never a
        # token that nobody can verify.
        await in_thread(lambda: signing_keys.write(self._home, key.id, key.pem))
        await self._add(key.id, key.public, at)
        for key_id in older:
            signing_keys.remove(self._home, key_id)
        return key, at + SIGNS_FOR

    @unbroken
    async def _find(self, key_id: str) -> bytes | None:
        async with self._database.read(INSTALLATION) as tx:
            return await signing_keys.public(tx, key_id)

    @unbroken
    async def _newest(self, key_ids: list[str]) -> "tuple[str, datetime] | None":
        async with self._database.read(INSTALLATION) as tx:
            return await signing_keys.newest_since(tx, key_ids, record.now() - SIGNS_FOR)

    @unbroken
    async def _add(self, key_id: str, public: bytes, at: "datetime") -> None:
        async with self._database.write(INSTALLATION) as tx:
            await signing_keys.forget_expired(tx, at)
            await signing_keys.add(tx, key_id, public, at, at + SIGNS_FOR + _SPARE)

    @unbroken
    async def _keep_until(self, key_id: str, moment: "datetime") -> None:
        async with self._database.write(INSTALLATION) as tx:
            await signing_keys.keep_until(tx, key_id, moment)
