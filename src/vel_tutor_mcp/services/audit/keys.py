"""The keys by which checkpoints and exports of the trail are signed (Ed25519), and which of them count here. Blocks.

The signing key is that of VEL_TUTOR_AUDIT_KEY, or of the file `audit.key` in the home, made when it is first needed.
Public keys and signatures are written in hexadecimal.
"""

import hashlib
import re
import secrets
from typing import TYPE_CHECKING

from vel_tutor_mcp.auth import key_files
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE = "audit.key"

_KEY = re.compile(r"[0-9a-f]{64}")
_ID_LENGTH = 16


class Signer:
    """One signing key."""

    def __init__(self, private_key: "Ed25519PrivateKey") -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw().hex()

    def sign(self, text: str) -> str:
        return self._private_key.sign(text.encode()).hex()


class Keys:
    """Those of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.home / KEY_FILE

    def signer(self) -> Signer:
        """Raises:
        ConfigurationError: the key cannot be read or made; says why.
        """
        return _signer(self._stored() or self._made())

    def known(self) -> frozenset[str]:
        """The public keys whose signatures count: that of this installation, and those that it trusts.

        Raises:
            ConfigurationError: a key cannot be read; says why.
        """
        stored = self._stored()
        own = {_signer(stored).public_key} if stored else set()
        return frozenset(own | set(filter(None, map(public_key, self._settings.audit_trusted_keys.split(",")))))

    def _stored(self) -> str | None:
        if self._settings.audit_key is not None:
            return _checked(self._settings.audit_key.get_secret_value(), "VEL_TUTOR_AUDIT_KEY")
        try:
            return _checked(self._file.read_text(encoding="ascii"), str(self._file))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as problem:
            raise _unusable(str(self._file), type(problem).__name__) from None

    def _made(self) -> str:
        """The key in a new file; of processes that make one at once, all get the same."""
        try:
            key_files.make(self._file, f"{secrets.token_hex(32)}\n".encode())
            return _checked(self._file.read_text(encoding="ascii"), str(self._file))
        except OSError as problem:
            raise ConfigurationError(
                f"The key of the audit trail cannot be kept in {self._file}; "
                f"{problem.strerror or 'another process is at it'}; make room and the folder writable, or set "
                "VEL_TUTOR_AUDIT_KEY: nothing was signed."
            ) from None


def public_key(text: str) -> str | None:
    """A public key that somebody wrote; None for nothing.

    Raises:
        ConfigurationError: it is none.
    """
    return _checked(text, "The public key") if text.strip() else None


def key_id(public_key: str) -> str:
    """A short name for a key, to be compared by people."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:_ID_LENGTH]


def is_signed(text: str, public_key: str, signature: str) -> bool:
    """Whether the signature is this key's, over this text."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _signer(key: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)))


def _checked(text: str, place: str) -> str:
    key = text.strip().lower()
    if not _KEY.fullmatch(key):
        raise _unusable(place, "it is not 64 hexadecimal digits")
    return key


def _unusable(place: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place} cannot be used as a key of the audit trail; {why}; correct it, or put the right file back: without "
        "it nothing can be signed."
    )
