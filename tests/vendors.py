"""A vendor of models in this process whose calls end when and as a test says."""

import asyncio
from dataclasses import dataclass, field

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Hear


@dataclass(eq=False)
class OpenCall:
    """A call that waits for its end."""

    request: ChatRequest
    end: "asyncio.Future[Completion]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def answer(self, share: float | None) -> None:
        """End it, having used this share of the tokens that it could have used (None: it does not say)."""
        completion = Completion(
            text="an answer",
            finish_reason="stop",
            served_model=None,
            tokens_in=None if share is None else round(share * len(self.request.prompt)),
            tokens_out=None if share is None else round(share * self.request.max_output_tokens),
            tokens_cached=None,
            tokens_written=None,
            first_token_ms=None,
            total_ms=0,
        )
        if not self.end.done():
            self.end.set_result(completion)

    def fail(self, kind: FailureKind, *, billable: bool) -> None:
        if not self.end.done():
            self.end.set_exception(ProviderError("It failed.", kind=kind, billable=billable))


class Vendor:
    """See `providers.base.Provider`. `heard` are all calls that there ever were, `open` those that have not ended."""

    def __init__(self, changed: asyncio.Event) -> None:
        self.heard: list[OpenCall] = []
        self.open: list[OpenCall] = []
        self._changed = changed

    async def complete(
        self,
        request: ChatRequest,
        on_delta: Delta,  # noqa: ARG002 - the port's signature
        on_limits: Hear | None = None,  # noqa: ARG002
    ) -> Completion:
        call = OpenCall(request)
        self.heard.append(call)
        self.open.append(call)
        self._changed.set()
        try:
            return await call.end
        finally:
            self.open.remove(call)
            self._changed.set()

    async def close(self) -> None: ...
