"""Passwords: which ones are taken, how they are kept, whether one fits. (Blocks for a tenth of a second or more.)"""

import secrets
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vel_tutor_mcp.errors import InputError

SHORTEST, LONGEST = 12, 72


def check_password(password: str) -> None:
    """Refuse what is too easily guessed.

    Raises:
        InputError: says what a password needs.
    """
    kinds = (str.islower, str.isupper, str.isdigit)
    if not SHORTEST <= len(password) <= LONGEST or not all(any(map(kind, password)) for kind in kinds):
        raise InputError(
            f"The password is not taken; it needs {SHORTEST} to {LONGEST} characters, with a lower-case letter, an "
            "upper-case letter and a digit among them; choose another."
        )
    try:
        password.encode()
    except UnicodeEncodeError:
        raise InputError("The password is no text; it holds half of a character; choose another.") from None


class Passwords:
    """Keeps passwords as argon2id hashes; by default at the cost that RFC 9106 names for machines with little memory.

    A hash takes 64 MiB while it is computed: callers bound how many are at once.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    def hashed(self, password: str) -> str:
        return self._hasher.hash(password)

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one whose hash was kept; None, for no account, takes as long and never fits."""
        try:
            self._hasher.verify(kept or self._nobodys, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made at another cost than is asked for now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())
