"""Searches what the tests left in a folder for the secrets that they planted, and for those that were made there."""

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import re2
from planted import MARK

# Whoever has one of these comes in, an access token, or one that renews it; or speaks to webhooks as the server does.
TOKEN = re2.compile(rb"eyJhbGciOi[\w-]+\.eyJ[\w-]+\.[\w-]+|vtr_[\w-]{20,}|whsec_[\w+/=-]{20,}")
# Where secrets are at home; only their owner may read them.
_KEYS = ("secret.key", "audit.key", "signing-*.pem")
_SQLITE = b"SQLite format 3\0"
_KEY_BYTES, _KEY_CHARACTERS = 32, 43
_AROUND = 60


def leaks(folder: Path) -> list[str]:
    """Where a secret is that should not be, with what stands around it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    keys = [path for path in files if any(path.match(name) for name in _KEYS)]
    secrets = _pattern(_secrets_of(keys))
    searched = [path for path in files if path not in set(keys)]
    found = [f"{path}: {told}" for path in searched for told in _in_bytes(path.read_bytes(), secrets)]
    # Text that spans pages of a file is in one piece in a dump; opening a database writes to it, so they come last.
    databases = [path for path in searched if _begins(path, _SQLITE)]
    return found + [f"{path}: {told}" for path in databases for told in _in_rows(path, secrets)]


def forms(secret: bytes) -> set[bytes]:
    """As it may be written, wherever in a longer text it stands."""
    shifted = [base64.b64encode(bytes(shift) + secret)[(shift * 8 + 5) // 6 :] for shift in range(3)]
    # The last characters depend on what follows.
    in_base64 = {text.rstrip(b"=")[:-1] for text in shifted}
    url_safe = {text.translate(bytes.maketrans(b"+/", b"-_")) for text in in_base64}
    hexadecimal = secret.hex().encode()
    return {secret, hexadecimal, hexadecimal.upper()} | in_base64 | url_safe


def _secrets_of(keys: list[Path]) -> set[bytes]:
    """What is marked, and the keys that servers made for themselves: 32 random bytes each."""
    found = {secret for path in keys for secret in _key_in(path.read_bytes())}
    return {MARK.encode()} | {secret for secret in found if len(secret) == _KEY_BYTES}  # some are spoilt by tests


def _key_in(file: bytes) -> Iterator[bytes]:
    """In hexadecimal, or at the end of what base64 says."""
    text = b"".join(word for word in file.split() if len(word) >= _KEY_CHARACTERS).decode("latin-1")
    for read in (bytes.fromhex, base64.b64decode):
        with suppress(ValueError):
            yield read(text)[-_KEY_BYTES:]
            return


def _pattern(secrets: set[bytes]) -> Any:
    written = sorted({form for secret in secrets for form in forms(secret)})
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 1 << 28
    return re2.compile(b"|".join([*map(re2.escape, written), TOKEN.pattern]), options)


def _begins(path: Path, words: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(words)) == words


def _in_rows(path: Path, secrets: Any) -> Iterator[str]:
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in tables:
            for row in connection.execute(f'SELECT * FROM "{name.decode()}"'):
                yield from _in_bytes(b"\n".join(value for value in row if isinstance(value, bytes)), secrets)


def _in_bytes(text: bytes, secrets: Any) -> Iterator[str]:
    for match in secrets.finditer(text):
        heading = text.rfind(b"\n# tests/", 0, match.start())
        test = text[heading + 3 : text.find(b"\n", heading + 1)].decode() if heading >= 0 else ""
        yield f"{test} {text[max(0, match.start() - _AROUND) : match.end() + _AROUND]!r}"
