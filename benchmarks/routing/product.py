"""Our routing as a task meets it, but for the store: its book keeps nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from vel_tutor_mcp.models import AgentConfig, Candidate, Decision, FailureKind, Policy, TaskType
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Provider, Timeouts
from vel_tutor_mcp.routing.book import Answered, Ended, Lost, Order
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, estimated_tokens, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.retry import Failure, Wait
from vel_tutor_mcp.routing.router import Router
from vel_tutor_mcp.services.asking import timeouts
from vel_tutor_mcp.settings import Settings

SETTINGS = Settings(home=Path.cwd())
CONFIG = AgentConfig()

Providers = Mapping[str, Provider]


@dataclass(slots=True)
class Visit:
    """One call, as a book hears of it: times are of the book's clock."""

    candidate: Candidate
    limits: Timeouts
    opened: float
    failed: float | None = None
    failure: FailureKind | None = None


@dataclass(slots=True)
class Unbooked:
    """A book for one request that reserves nothing and writes nothing down but who was called when."""

    product: "Product"
    prompt: str
    stream: bool = True
    clock: Callable[[], float] = time.perf_counter
    visits: list[Visit] = field(default_factory=list)
    waits: int = 0

    @property
    def tokens(self) -> int:
        return estimated_tokens(prompt_bytes(self.prompt)) + CONFIG.max_output_tokens

    async def open(
        self,
        candidate: Candidate,
        *,
        repairs: Failure | None = None,  # noqa: ARG002 - the protocol's
        beside: Candidate | None = None,  # noqa: ARG002
    ) -> tuple[Visit, ChatRequest, Delta]:
        request = self.product.chat(candidate, self.prompt, stream=self.stream)
        visit = Visit(candidate, request.timeouts, self.clock())
        self.visits.append(visit)
        return visit, request, _unheard

    def accepted(self, completion: Completion) -> Completion:
        return completion

    async def fail(self, slot: Visit, ended: Ended) -> None:
        assert ended.failure is not None
        slot.failed, slot.failure = self.clock(), ended.failure.kind

    async def lose(self, slot: Visit, lost: Lost) -> None: ...

    async def wait(self, step: Wait) -> None:  # noqa: ARG002 - the protocol's
        self.waits += 1


class Product:
    """The product's routing on these providers, with the defaults of an agent."""

    def __init__(
        self,
        providers: Providers,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        settings: Settings = SETTINGS,
    ) -> None:
        self.clock = clock
        self.catalog = Catalog.load({})
        self.prices = Prices(self.catalog)
        self.prices.load()
        self._rows = {row.name: row for row in self.catalog.models}
        self._jitter = Random(seed).random
        self._settings = settings
        self.begin(providers)

    def begin(self, providers: Providers) -> None:
        """Go on with these providers, of whose health nothing is known."""
        self.health = Health()
        self._configured = frozenset(providers)
        self._router = Router(providers, self.health, self._jitter, self.clock)

    def row(self, candidate: Candidate) -> ModelRow:
        return self._rows[candidate.name]

    def decide(self, prompt: str, policy: Policy = Policy.BALANCED, model: str | None = None) -> Decision:
        """The decision by this policy; with a `model`, for that one and no other."""
        request = RouteRequest(
            features=features(prompt),
            prompt_bytes=prompt_bytes(prompt),
            configured=self._configured,
            policy=policy,
            max_output_tokens=CONFIG.max_output_tokens,
            model_preferences=dict.fromkeys(TaskType, model) if model else {},
            fallback=model is None,
        )
        return decide(request, self.catalog, self.prices, self.health, self.clock())

    async def answer(self, decision: Decision, book: Unbooked) -> Answered[Visit]:
        order = Order(decision=decision, failures=(), max_retries=CONFIG.max_retries, fallback=CONFIG.fallback)
        return await self._router.answer(order, book)

    def chat(self, candidate: Candidate, prompt: str, *, stream: bool = True) -> ChatRequest:
        return ChatRequest(
            model=candidate.model,
            system="",
            prompt=prompt,
            max_output_tokens=CONFIG.max_output_tokens,
            timeouts=timeouts(self._settings, CONFIG, self.row(candidate), candidate.expected_latency_ms),
            stream=stream,
        )


def _unheard(_: str) -> None:
    pass
