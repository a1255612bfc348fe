"""Access tokens: JWTs signed with Ed25519, each naming by `kid` the key that verifies it.

The algorithm is fixed here and never read from a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vel_tutor_mcp.errors import Unauthenticated

_ALGORITHM = "EdDSA"
_CLAIMS = ("sub", "role", "org", "sid", "jti", "aud", "iss", "iat", "exp")
# Far more than ours have: what is longer is not even looked at.
_LONGEST_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says: who may ask with it, by which grant, until when; `role` is as of its issue.

    `client_id` and `scope` are of clients that were allowed to come in by OAuth (RFC 9068).
    """

    user_id: str
    organisation_id: str
    role: str
    grant_id: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    client_id: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair, under the name by which tokens refer to it."""

    id: str
    private: Ed25519PrivateKey

    @classmethod
    def new(cls) -> "SigningKey":
        return cls(uuid4().hex, Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, key_id: str, pem: bytes) -> "SigningKey":
        """Raises:
        ValueError: it is no private Ed25519 key.
        """
        private = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("no Ed25519 key")  # noqa: TRY004 - of the bytes, not of the caller's types
        return cls(key_id, private)

    @property
    def pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> bytes:
        """The 32 bytes that verify what it signs."""
        return self.private.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs and verifies tokens that are good at one server: `url` is who issues them and whom they are for."""

    url: str

    def signed(self, claims: Claims, key: SigningKey) -> str:
        content = {
            "sub": claims.user_id,
            "role": claims.role,
            "org": claims.organisation_id,
            "sid": claims.grant_id,
            "jti": claims.token_id,
            "aud": self.url,
            "iss": self.url,
            "iat": int(claims.issued_at.timestamp()),
            "exp": int(claims.expires_at.timestamp()),
            "client_id": claims.client_id,
            "scope": claims.scope,
        }
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key.private, algorithm=_ALGORITHM, headers={"kid": key.id})

    def verified(self, token: str, keys: Mapping[str, Ed25519PublicKey]) -> Claims:
        """What the token says.

        Raises:
            Unauthenticated: it is none of ours, is for another server, was changed, or has expired; says which.
        """
        key = keys.get(key_id(token))
        if key is None:
            raise Unauthenticated("The token is not valid; no key of this server has signed it; sign in again.")
        try:
            content = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self.url,
                issuer=self.url,
                # Another machine of ours may have issued it whose clock is a little ahead.
                # And ours name one audience, never a list of them.
                options={"require": list(_CLAIMS), "verify_iat": False, "strict_aud": True},
            )
            return _claims(content)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired; it was good until then; sign in again.") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            raise Unauthenticated(
                "The token is for another server; its audience or issuer is not this one; sign in here, or look at "
                "VEL_TUTOR_PUBLIC_URL."
            ) from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise _not_valid() from None


def key_id(token: str) -> str:
    """The name of the key that the token says has signed it; nothing of it is verified yet.

    Raises:
        Unauthenticated: it is no token that we sign.
    """
    try:
        header = jwt.get_unverified_header(token) if len(token) <= _LONGEST_TOKEN else {}
    except (jwt.PyJWTError, ValueError):
        raise _not_valid() from None
    named = header.get("kid")
    if header.get("alg") != _ALGORITHM or not isinstance(named, str):
        raise _not_valid()
    return named


def public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def _claims(content: Mapping[str, Any]) -> Claims:
    return Claims(
        user_id=str(content["sub"]),
        organisation_id=str(content["org"]),
        role=str(content["role"]),
        grant_id=str(content["sid"]),
        token_id=str(content["jti"]),
        issued_at=datetime.fromtimestamp(content["iat"], UTC),
        expires_at=datetime.fromtimestamp(content["exp"], UTC),
        client_id=content.get("client_id"),
        scope=content.get("scope"),
    )


def _not_valid() -> Unauthenticated:
    return Unauthenticated("The token is not valid; it was changed, cut, or is none of ours; sign in again.")
