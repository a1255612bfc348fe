"""What every service refuses alike. (Pure.)"""

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import MAX_USD

_MAX_KEY_CHARACTERS = 200


def is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable(text: str) -> str:
    """The text with marks in place of what cannot be kept."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def check_text(what: str, text: str | None) -> None:
    """Refuse what cannot be kept and sent; what is merely looked for is not refused: it is nowhere.

    Raises:
        InputError: names `what` it was.
    """
    if text is not None and not is_text(text):
        raise InputError(
            f"The {what} is no text; it holds a NUL or half of a character (a lone surrogate); send it without."
        )


def check_budget(what: str, usd: float | None) -> None:
    """Refuse a limit that is none.

    Raises:
        InputError: names `what` it was.
    """
    if usd is not None and not 0 < usd <= MAX_USD:
        raise InputError(
            f"{what} is out of range; it must be more than 0 and at most {MAX_USD:,} US dollars; leave it out for no "
            "limit."
        )


def check_key(key: str | None) -> None:
    """Refuse an idempotency key that cannot be kept.

    Raises:
        InputError: it is out of bounds, or no text.
    """
    check_text("idempotency key", key)
    if key is not None and not 0 < len(key) <= _MAX_KEY_CHARACTERS:
        raise InputError(f"The idempotency key is out of bounds; it has 1 to {_MAX_KEY_CHARACTERS} characters.")
