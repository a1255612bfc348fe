"""The seam between the router and the vendors of models: one method.

It is deliberately unaware of tasks, budgets and policies: it makes one call and says how that went.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: until connected, until the first token, between two tokens, for the whole call."""

    connect: float
    first_token: float
    between_tokens: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call. `max_output_tokens` bounds what the model may produce, hidden reasoning included."""

    model: str
    system: str
    prompt: str
    max_output_tokens: int
    timeouts: Timeouts
    temperature: float | None = None
    response_schema: dict[str, Any] | None = None
    stream: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The answer of one call.

    Tokens are None where the provider did not report them; `tokens_cached` (read from its cache) and `tokens_written`
    (to it) are parts of `tokens_in`. `served_model` is the name that the provider says answered; `finish_reason` is the
    provider's word (`stop`, `length`, ...).
    """

    text: str
    finish_reason: str | None
    served_model: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None
    tokens_written: int | None
    first_token_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True)
class Limit:
    """One rate limit as a vendor's headers announce it: `left` of `most`, all of it again in `full_in` seconds."""

    most: int
    left: int
    full_in: float


@dataclass(frozen=True, slots=True)
class Announced:
    """The rate limits of one model, in requests and in tokens; None where the vendor does not say."""

    requests: Limit | None = None
    tokens: Limit | None = None


Delta = Callable[[str], None]
Hear = Callable[[Announced], None]


class Provider(Protocol):
    """A vendor of models."""

    async def complete(self, request: ChatRequest, on_delta: Delta, on_limits: Hear | None = None) -> Completion:
        """Make one call, handing each piece of text to `on_delta` as it arrives.

        `on_limits` hears the vendor's rate limits where the answer or the refusal begins, if its headers say any.

        Raises:
            ProviderError: with `kind`, `status`, `retry_after` and the partial text.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
