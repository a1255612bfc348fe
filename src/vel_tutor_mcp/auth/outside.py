"""Access tokens of an outside issuer (OpenID Connect): JWTs that its published keys verify.

A key verifies by one algorithm, which is its own or that of its kind, and never read from a token.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from vel_tutor_mcp.errors import Unauthenticated
from vel_tutor_mcp.models import LONGEST_SUBJECT

LEEWAY_SECONDS = 30
# None with a shared secret: for those the public key would pass as the secret.
_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
)
# RFC 9068's, and what issuers write who do not know it. Tokens of other kinds may have the same audience.
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})
_CLAIMS = ("iss", "aud", "sub", "exp")
_LONGEST_TOKEN = 8192
# RFC 7518, section 3.3: shorter ones must not be used.
_FEWEST_RSA_BITS = 2048
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the issuer says is asking: `subject` is theirs with it for ever."""

    subject: str
    expires_at: datetime


def issuer_of(token: str) -> str | None:
    """Who the token says has issued it; nothing of it is verified yet."""
    try:
        content = jwt.decode(token, options={"verify_signature": False}) if len(token) <= _LONGEST_TOKEN else {}
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    named = content.get("iss")
    return named if isinstance(named, str) else None


def key_id(token: str) -> str:
    """The name of the key that the token says has signed it; nothing of it is verified yet.

    Raises:
        Unauthenticated: it names none, or is no access token.
    """
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _not_valid() from None
    named, kind = header.get("kid"), header.get("typ", "")
    if header.get("alg") not in _ALGORITHMS or not isinstance(named, str) or str(kind).lower() not in _TYPES:
        raise _not_valid()
    return named


def keys_of(published: Iterable[Any]) -> dict[str, PyJWK]:
    """Of the keys that an issuer publishes, those that may verify tokens, by their names; others are left out."""
    rows = [row for row in published if isinstance(row, dict) and _may_verify(row)][:_MOST_KEYS]
    return {row["kid"]: key for row in rows if (key := _key(row)) is not None}


def verified(token: str, key: PyJWK, issuer: str, audiences: Iterable[str]) -> Identity:
    """Who is asking.

    Raises:
        Unauthenticated: the token is another issuer's, for another server, was changed, or is not good at this time.
    """
    try:
        content = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=audiences,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": list(_CLAIMS)},
        )
        return _identity(content)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The token has expired; it was good until then; sign in again.") from None
    except jwt.ImmatureSignatureError:
        raise Unauthenticated(
            "The token is not good yet; its time has not come; look at the clocks of the issuer and of this server."
        ) from None
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise Unauthenticated(
            "The token is for another server; its audience or issuer is another; ask the issuer for one for the "
            "resource that the metadata names."
        ) from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise _not_valid() from None


def _may_verify(row: Mapping[str, Any]) -> bool:
    """Whether it is a public key for signatures, with a name."""
    operations = row.get("key_ops", ["verify"])
    for_signatures = row.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    # A private or shared key that anybody can read proves nothing.
    # One may leave out its algorithm (RFC 7517, section 4.4): its kind says which, in `_key`.
    public = "d" not in row and "k" not in row and str(row.get("alg", "RS256")) in _ALGORITHMS
    return isinstance(row.get("kid"), str) and for_signatures and public


def _key(row: dict[str, Any]) -> PyJWK | None:
    try:
        key = PyJWK(row)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _FEWEST_RSA_BITS
    return key if key.algorithm_name in _ALGORITHMS and not weak else None


def _identity(content: Mapping[str, Any]) -> Identity:
    subject = content["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise ValueError("no subject")
    if "cnf" in content:
        raise Unauthenticated(
            "The token is not taken; it is bound to a key of its client, which is not asked for here; have the issuer "
            "give bearer tokens."
        )
    return Identity(subject, datetime.fromtimestamp(content["exp"], UTC))


def _not_valid() -> Unauthenticated:
    return Unauthenticated("The token is not valid; it was changed, cut, or is no access token; sign in again.")
