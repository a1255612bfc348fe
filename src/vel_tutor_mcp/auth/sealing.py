"""Sealing: a value that everybody may copy, and only who has the secret key can read. AES-256-GCM.

A sealed value is its version (1 byte), the id of its secret key (8), a nonce (12), the ciphertext and the tag (16). The
secret key itself seals nothing: each purpose has a key of its own, derived by HKDF. What a value belongs to, its
context, is authenticated with it, so that it opens nowhere else.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vel_tutor_mcp.auth import key_files
from vel_tutor_mcp.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE = "VEL_TUTOR_SECRET_KEY"
FILE_NAME = "secret.key"
KEY_BYTES = 32

_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_HEAD_BYTES = len(_VERSION) + _ID_BYTES
_OF_ID = "id"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value, and what it was sealed for."""

    value: bytes = field(repr=False)
    purpose: str
    context: tuple[str, ...]


class SecretKeys:
    """The secret keys of this installation: the first one seals, every one opens. Its methods block.

    `text` is what VEL_TUTOR_SECRET_KEY holds; where it is None the keys are in the file `secret.key` of the home, which
    is made when something is first sealed. A key that was put into the file is seen without a restart.
    """

    def __init__(self, text: str | None, home: Path) -> None:
        self._text = text
        self._file = home / FILE_NAME
        self._keys: dict[bytes, bytes] = {}

    def seal(self, value: bytes, purpose: str, context: Sequence[str]) -> bytes:
        """The value, sealed for this purpose and context.

        Raises:
            ConfigurationError: the keys cannot be read, or the file cannot be made.
        """
        # A key that this process remembers may have been replaced.
        self._look_again()
        if not self._keys:
            self._keys = _made(self._file)
        key_id, key = next(iter(self._keys.items()))
        head, nonce = _VERSION + key_id, secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + _cipher(key, purpose).encrypt(nonce, value, _bound(head, purpose, context))

    def open(self, sealed: bytes, purpose: str, context: Sequence[str]) -> bytes:
        """The value that was sealed for this purpose and context.

        Raises:
            ConfigurationError: its secret key is missing, or it is damaged or of another purpose or context.
        """
        from cryptography.exceptions import InvalidTag

        if len(sealed) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            raise _unopened("it is damaged, or a newer version sealed it")
        head, nonce, body = _split(sealed)
        key = self._key(head[1:])
        try:
            return _cipher(key, purpose).decrypt(nonce, body, _bound(head, purpose, context))
        except InvalidTag:
            raise _unopened("it is damaged, or belongs to something else") from None

    def opened(self, sealed: Sealed) -> bytes:
        """As `open`."""
        return self.open(sealed.value, sealed.purpose, sealed.context)

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key has sealed it.

        Raises:
            ConfigurationError: there is no key.
        """
        self._look_again()
        first = next(iter(self._keys), None)
        if first is None:
            raise _missing(sealed[1:_HEAD_BYTES])
        return sealed[:_HEAD_BYTES] == _VERSION + first

    def ids(self) -> list[str]:
        """The ids of the keys, which tell nothing of them; the first one seals.

        Raises:
            ConfigurationError: they cannot be read.
        """
        self._look_again()
        return [key_id.hex() for key_id in self._keys]

    def _key(self, key_id: bytes) -> bytes:
        if key_id not in self._keys:
            self._look_again()
        if key_id not in self._keys:
            raise _missing(key_id)
        return self._keys[key_id]

    def _look_again(self) -> None:
        # A file may get another key while we run, our environment does not.
        if self._text is None:
            self._keys = _read(self._file)
        elif not self._keys:
            self._keys = _keys(self._text, VARIABLE)


def unopened(secret_keys: SecretKeys, kept: Sequence[Sealed]) -> list[str]:
    """Why some of these cannot be opened, of each that cannot. Blocks."""
    found = []
    for sealed in kept:
        try:
            secret_keys.opened(sealed)
        except ConfigurationError as problem:
            found.append(str(problem))
    return found


def key_id(sealed: bytes) -> str:
    """The id of the secret key that has sealed it."""
    return sealed[len(_VERSION) : _HEAD_BYTES].hex()


def _split(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    body = _HEAD_BYTES + _NONCE_BYTES
    return sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:body], sealed[body:]


def _bound(head: bytes, purpose: str, context: Sequence[str]) -> bytes:
    """What is authenticated with a value: each part with its length before it, so that no two read the same."""
    parts = [head, *(part.encode() for part in (purpose, *context))]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _cipher(key: bytes, purpose: str) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_derived(key, f"seal:{purpose}", KEY_BYTES))


def _derived(key: bytes, name: str, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    # Without a salt, which would have to be kept: the secret key is random itself.
    return HKDF(SHA256(), length, salt=None, info=f"vel-tutor-mcp:{name}".encode()).derive(key)


def _keys(text: str, place: str) -> dict[bytes, bytes]:
    """The keys by their ids, in the order in which they stand.

    Raises:
        ConfigurationError: there is none, or one is no key.
    """
    found = [_decoded(part) for part in re.split(r"[\s,]+", text) if part]
    keys = [key for key in found if len(key) == KEY_BYTES]
    if not keys or len(keys) < len(found):
        raise _unusable(place, f"it must hold keys of {KEY_BYTES} random bytes in base64, with commas between")
    return {_derived(key, _OF_ID, _ID_BYTES): key for key in keys}


def _decoded(part: str) -> bytes:
    try:
        # In either alphabet of base64.
        return base64.b64decode(part.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _read(file: Path) -> dict[bytes, bytes]:
    """The file's keys; none where there is no file."""
    try:
        return _keys(file.read_text(encoding="ascii"), str(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise _unusable(str(file), type(problem).__name__) from None


def _made(file: Path) -> dict[bytes, bytes]:
    """The keys in a new file; of processes that make one at once, all get the same."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_files.make(file, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    except OSError as problem:
        raise ConfigurationError(
            f"The secret key cannot be kept in {file}; {problem.strerror or 'another process is at it'}; make room and "
            "the folder writable, or set VEL_TUTOR_SECRET_KEY: nothing was sealed."
        ) from None
    return _read(file)


def _unusable(place: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place} cannot be used as the secret key; {why}; correct it, or put the right one back: without it nothing "
        "that was sealed can be opened."
    )


def _missing(key_id: bytes) -> ConfigurationError:
    return _unopened(
        f"it was sealed with the secret key {key_id.hex()}, which is not here",
        f"put that key behind the first one in {VARIABLE}, or into {FILE_NAME} in VEL_TUTOR_HOME",
    )


def _unopened(why: str, advice: str = "") -> ConfigurationError:
    return ConfigurationError(f"What was sealed cannot be opened; {why}; {advice or 'set it anew'}.")
