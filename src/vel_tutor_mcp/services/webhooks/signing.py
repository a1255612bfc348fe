"""Signatures as Standard Webhooks (standardwebhooks.com) has them. (Pure, but for the chance in a new secret.)"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(with_secrets: Sequence[str], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """What lets a receiver know who has sent the body, and when, in seconds since 1970; any of the secrets verifies."""
    signatures = (_signature(secret, message_id, at, body) for secret in with_secrets)
    return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": " ".join(signatures)}


def _signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
