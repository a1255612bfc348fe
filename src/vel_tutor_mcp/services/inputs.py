"""What every service refuses alike. (Pure.)"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import MAX_USD, AgentConfig, Policy, TaskRequest, TaskType
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.store.audit_chain import canonical
from vel_tutor_mcp.workflows.model import RunRequest

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


def moment_of(name: str, text: str | None) -> datetime | None:
    """The time that stands in the text; in UTC, where it does not say.

    Raises:
        InputError: it is not ISO 8601; names which it was.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"`{name}` is not a time; it must be ISO 8601; write it like 2026-11-23T08:00:00Z.") from None


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


Request = TaskRequest | RunRequest | ComparisonRequest


def body_hash(request: Request) -> str:
    """Tells two requests apart that come with one idempotency key."""
    body = {name: value for name, value in asdict(request).items() if name != "idempotency_key"}
    if body.get("config", ...) is None:  # keys of before tasks had it stay good
        del body["config"]
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def json_bytes(value: Any) -> int | None:
    """How long the value is as JSON; None where it is none that can be kept."""
    try:
        return len(canonical(value).encode())
    except (TypeError, ValueError, RecursionError):
        return None


def asked_first(model: str) -> dict[str, Any]:
    """The changes to an agent's configuration by which this model is asked first, whatever the task."""
    return {"policy": Policy.FIXED.value, "model_preferences": {kind.value: model for kind in TaskType}}


def merged(config: AgentConfig, changes: Mapping[str, Any]) -> AgentConfig:
    """The configuration with these fields changed.

    Raises:
        InputError: a value is not valid; names it.
    """
    if not changes:  # as with most tasks
        return config
    try:
        return AgentConfig.model_validate(config.model_dump(mode="json") | dict(changes))
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"Bad value for config.{place}; {first['msg'].lower()}; correct it and call again.") from None
