"""Our routing as a task meets it, but for the store: its book keeps nothing."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from vel_tutor_mcp.models import AgentConfig, Candidate, Decision, Policy, TaskType
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Provider, Timeouts
from vel_tutor_mcp.routing.book import Answered, Ended, Failed, Lost, Order, Paced
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.estimate import estimates
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, estimated_tokens, prompt_bytes
from vel_tutor_mcp.routing.pace import Pace
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.retry import Failure, Wait
from vel_tutor_mcp.routing.router import Router
from vel_tutor_mcp.routing.warmth import Warmth, beginnings
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
    ended: float | None = None
    failed: Failed | None = None


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
        return most_tokens(self.prompt)

    async def open(
        self,
        candidate: Candidate,
        *,
        repairs: Failure | None = None,  # noqa: ARG002 - the protocol's, as is the next one
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
        slot.ended, slot.failed = self.clock(), Failed.of(slot.candidate, ended.failure)

    async def lose(self, slot: Visit, lost: Lost) -> None:
        raise NotImplementedError("nothing is hedged here")

    async def wait(self, step: Wait) -> None:  # noqa: ARG002 - the protocol's
        self.waits += 1


class Product:
    """The product's routing on these providers, with the defaults of an agent; nothing is explored."""

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
        self.estimates = estimates(self.catalog, None)
        self._rows = {row.name: row for row in self.catalog.models}
        self._jitter = Random(seed).random
        self._settings = settings
        self.begin(providers)

    def begin(self, providers: Providers) -> None:
        """Go on with these providers, of which nothing is known."""
        self._health, self._pace, self._warmth = Health(), Pace(), Warmth()
        self._configured = frozenset(providers)
        self._router = Router(providers, self._health, self._jitter, self.clock, pace=self._pace, warmth=self._warmth)

    def decide(self, prompt: str, policy: Policy = Policy.BALANCED, model: str | None = None) -> Decision:
        """The decision by this policy; with a `model`, for that one and no other."""
        now, seen = self.clock(), features(prompt)
        difficulty, learned = self.estimates.of(prompt, seen)
        request = RouteRequest(
            features=seen.of_difficulty(difficulty),
            learned=learned,
            prompt_bytes=prompt_bytes(prompt),
            configured=self._configured,
            policy=policy,
            max_output_tokens=CONFIG.max_output_tokens,
            model_preferences=dict.fromkeys(TaskType, model) if model else {},
            fallback=model is None,
            warm=self._warmth.cached(beginnings(CONFIG.system_prompt, prompt), now),
            delays=self._pace.delays(most_tokens(prompt), now),
        )
        return decide(request, self.catalog, self.prices, self._health, now)

    async def answer(self, decision: Decision, book: Unbooked) -> Answered[Visit]:
        """As a task is answered: what must be waited for is waited for, then the rest is tried."""
        waited = False
        while True:
            order = Order(
                decision=decision,
                failures=[visit.failed for visit in book.visits if visit.failed],
                max_retries=CONFIG.max_retries,
                fallback=CONFIG.fallback,
                waited=waited,
            )
            try:
                return await self._router.answer(order, book)
            except Paced as refusal:
                pause = refusal.pause or timedelta(0)
            book.waits += 1
            waited = True
            await asyncio.sleep(pause.total_seconds())

    def chat(self, candidate: Candidate, prompt: str, *, stream: bool = True) -> ChatRequest:
        row = self._rows[candidate.name]
        return ChatRequest(
            model=candidate.model,
            system=CONFIG.system_prompt,
            prompt=prompt,
            max_output_tokens=CONFIG.max_output_tokens,
            timeouts=timeouts(self._settings, CONFIG, row, candidate.expected_latency_ms),
            stream=stream,
        )


def most_tokens(prompt: str) -> int:
    """What a call counts at most against a vendor's limit."""
    return estimated_tokens(prompt_bytes(prompt)) + CONFIG.max_output_tokens


def _unheard(_: str) -> None:
    pass
