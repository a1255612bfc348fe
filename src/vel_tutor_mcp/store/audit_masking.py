"""What looks like a secret or like personal data is masked before an entry is hashed, so that no trace of it is kept.

RE2 takes time that grows with the text alone, whatever is in it. What only looks like a card or an account number, but
fails its check digits, is kept; so are ids.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import re2

_MASK = "[masked {}]"
_MASKED = _MASK.format("secret")
_IBAN_REMAINDER = 97
_SECRET_NAMES = frozenset({
    "password", "passwd", "pwd", "secret", "client_secret", "api_key", "apikey", "key_value", "private_key", "token",
    "access_token", "refresh_token", "id_token", "authorization", "cookie", "set-cookie",
})  # fmt: skip
_NAMED = r"password|passwd|pwd|secret|api[_-]?key|access[_-]?token|refresh[_-]?token|authorization"
# The first that fits at a place decides; its name says what is masked.
_PATTERNS: Mapping[str, str] = {
    # First, so that no digits of an id pass for those of a card, an account or a telephone.
    "id": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    "private_key": r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    "login": r"://[^\s:/?#@]*:\S*@|://[^\s/?#@]+@",
    "value": (
        rf"(?i:\b(?:{_NAMED})[\"']?\s*[=:]\s*(?:(?:bearer|basic|digest)\s+)?\S+"
        r"|[?&](?:key|token|sig|signature)=[^&\s#]+)"
    ),
    "token": r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*|(?i:\bbearer\s+[\w.~+/=-]{16,})",
    "api_key": (
        r"\b(?:sk|rk|pk)[-_][\w-]{16,}|\bvtr_[\w-]{16,}|\bgsk_\w{16,}|\bpplx-\w{16,}|\bxai-\w{16,}|\bhf_\w{16,}|\bAIza[\w-]{30,}"
        r"|\bgh[a-z]_\w{20,}|\bgithub_pat_\w{20,}|\bA[KS]IA[0-9A-Z]{16}\b|\bxox[a-z]-[\w-]{10,}"
    ),
    "e_mail": r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+",
    "card": r"\b[2-6](?:[ -]?[0-9]){12,18}\b",
    "account": r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b",
    "phone": (
        r"(?:\+|\b00)[1-9](?:[ ./()-]{0,2}[0-9]){7,14}\b"
        r"|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b"
        r"|\b0[1-9][0-9]{1,4}[ /-][0-9]{5,9}\b"
    ),
}


def masked(value: Any) -> Any:
    """The JSON value with what must not be kept masked, in its texts and in the names of its members."""
    match value:
        case str():
            return masked_text(value)
        case list():
            return [masked(part) for part in value]
        case dict():
            return {masked_text(name): _member(name, part) for name, part in value.items()}
    return value


def masked_text(text: str) -> str:
    return str(_pattern().sub(_replaced, text))


def _member(name: str, value: Any) -> Any:
    return _MASKED if value is not None and name.lower() in _SECRET_NAMES else masked(value)


@cache
def _pattern() -> Any:
    return re2.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()))


def _replaced(match: Any) -> str:
    found, kind = str(match.group()), str(match.lastgroup)
    mask = _MASK.format(kind.replace("_", " "))
    match kind:
        case "id":
            return found
        case "login":
            return f"://{_MASKED}@"
        case "value":
            name = found[: min(place for sign in "=:" if (place := found.find(sign)) >= 0) + 1]
            return f"{name}{_MASKED}"
        case "card":
            return _checked(found, _is_card, mask)
        case "account":
            return _checked(found, _is_account, mask)
    return mask


def _checked(found: str, is_true: Callable[[str], bool], mask: str) -> str:
    """The longest part up to the end of a group that is true is masked: words behind it may look like more of it."""
    for end in range(len(found), 0, -1):
        if (end == len(found) or found[end] in " -") and is_true(found[:end].replace(" ", "").replace("-", "")):
            return mask + found[end:]
    return found


def _is_card(digits: str) -> bool:
    """By Luhn's check digit, from 13 digits on."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return len(digits) > 12 and sum(value // 10 + value % 10 for value in doubled) % 10 == 0  # noqa: PLR2004


def _is_account(letters: str) -> bool:
    """By the check digits of an IBAN, from 15 characters on."""
    number = "".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])
    return len(letters) > 14 and int(number) % _IBAN_REMAINDER == 1  # noqa: PLR2004
