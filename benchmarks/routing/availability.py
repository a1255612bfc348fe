"""How many requests are answered while providers fail: each alone, with naive retries, and routed by us.

Everything but the network is real: features, decision, router, breakers, providers and their time-outs. Hours pass on a
virtual clock. The same bursts meet all subjects. `switching` measures the same on real sockets and a real clock.

Other faults, in the folder benchmarks/: python -m routing.availability [--requests N] [--seed N] [--between SECONDS]
[--burst-seconds SECONDS] [--in-bursts SHARE] [--alone SHARE]
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random

from measure import Result
from routing import virtual_time
from routing.faults import FaultModel, Weather
from routing.intervals import percentile, wilson
from routing.mix import mix
from routing.product import Product, Providers, Unbooked
from routing.vendor import Pace, provider

from vel_tutor_mcp.errors import NoAnswer, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import ChatRequest
from vel_tutor_mcp.routing.ledger import expected_output
from vel_tutor_mcp.routing.retry import PASSING

REQUESTS = 50_000
SECONDS_BETWEEN = 10.0
SEED = 1
PROVIDERS = ("openai", "groq")
NAIVE_RETRIES, NAIVE_BACKOFF_SECONDS, NAIVE_LONGEST_SECONDS = 2, 0.5, 60.0

GOAL, GOAL_SWITCH_MS = 0.9999, 500


@dataclass(slots=True)
class Seen:
    """What became of the requests of one subject. Seconds; `held` by one call that hung, over its limit in `beyond`."""

    answered: int = 0
    failed: int = 0
    took: list[float] = field(default_factory=list)
    switches: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    waits: int = 0

    @property
    def requests(self) -> int:
        return self.answered + self.failed

    @property
    def availability(self) -> float:
        return self.answered / self.requests

    def row(self, name: str) -> str:
        low, high = wilson(self.answered, self.requests)
        return (
            f"{name:<34} {self.requests:>8,} {self.failed:>7,} {self.availability:>10.4%} [{low:.4%}, {high:.4%}]"
            f" {percentile(self.took, 50):>8.1f} {percentile(self.took, 99):>8.1f} {max(self.took):>8.1f}"
        )


Subject = Callable[[str, Seen], Awaitable[bool]]
"""Asks for an answer to a prompt: whether there was one."""


async def results(share: float) -> list[Result]:
    # A loop of its own needs a thread of its own.
    seen = await asyncio.to_thread(compared, Trial(requests=round(REQUESTS * share)))
    routed = seen["routed"]
    failed_per_million = 1e6 * routed.failed / routed.requests
    return [
        Result(name="routed pair, unanswered per million", ours=failed_per_million, limit=1e6 * (1 - GOAL)),
        Result(
            name="switch to the next candidate, virtual, p99",
            unit="ms",
            ours=1000 * percentile(routed.switches, 99),
            limit=GOAL_SWITCH_MS,
        ),
        Result(
            name="hung call beyond its first-token limit, virtual, longest",
            unit="ms",
            ours=1000 * max(routed.beyond, default=0),
            limit=0.001,
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """So many requests, one every `between` seconds on average."""

    requests: int = REQUESTS
    model: FaultModel = field(default_factory=FaultModel)
    between: float = SECONDS_BETWEEN
    seed: int = SEED

    def providers(self) -> Providers:
        return {
            name: provider(name, _pace(), Weather(self.model, f"{self.seed} {name}"), str(self.seed))
            for name in PROVIDERS
        }

    def __str__(self) -> str:
        model = self.model
        bursts = f"in bursts {model.in_bursts:.2%} of the time, {model.burst_seconds:g} s each on average"
        return (
            f"{self.requests:,} requests, one every {self.between:g} s (seed {self.seed}); each provider alone"
            f" {model.availability:.2%}:\n{bursts}, and {model.alone:.2%} of the other requests"
            f"\n{'':<34} requests  failed  available      (95 % interval)     p50 s    p99 s    max s"
        )


def compared(trial: Trial) -> dict[str, Seen]:
    """All subjects in the same weather; prints the table."""
    print(trial, flush=True)
    found: dict[str, Seen] = {}
    for name, subject in _SUBJECTS.items():
        found[name] = virtual_time.run(_meeting(subject(trial.providers(), trial.seed), trial))
        print(found[name].row(name), flush=True)
    routed = found["routed"]
    print(f"routed: {len(routed.switches):,} switches, {len(routed.held)} calls that hung, {routed.waits} pauses")
    return found


def _pace() -> Callable[[str, str], Pace]:
    """As the catalog expects it, for a visible answer of 300 tokens."""
    rows = {row.model: row for row in Product({}).catalog.models}

    def pace(model: str, prompt: str) -> Pace:
        row = rows[model]
        tokens = expected_output(row, 300)
        return Pace(row.first_token_ms / 1000, tokens / row.tokens_per_second, len(prompt) // 4, tokens)

    return pace


async def _meeting(ask: Subject, trial: Trial) -> Seen:
    """The requests, as they come: a Poisson process."""
    seen, arrivals = Seen(), Random(f"{trial.seed} arrivals")
    prompts = [asked.prompt for asked in mix(1000, trial.seed)]
    async with asyncio.TaskGroup() as group:
        for number in range(trial.requests):
            await asyncio.sleep(arrivals.expovariate(1 / trial.between))
            group.create_task(_asked(ask, prompts[number % len(prompts)], seen))
    return seen


async def _asked(ask: Subject, prompt: str, seen: Seen) -> None:
    now = asyncio.get_running_loop().time
    begun = now()
    if await ask(prompt, seen):
        seen.answered += 1
    else:
        seen.failed += 1
    seen.took.append(now() - begun)


def _alone(name: str, retries: int = 0) -> Callable[[Providers, int], Subject]:
    """One provider's best model for the prompt, asked again only as often as told."""

    def subject(providers: Providers, seed: int) -> Subject:
        product = Product({name: providers[name]}, virtual_time.clock, seed)
        jitter = Random(f"{seed} jitter")

        @cache
        def request_for(prompt: str) -> ChatRequest:
            return product.chat(product.decide(prompt).candidates[0], prompt)

        async def ask(prompt: str, _: Seen) -> bool:
            request = request_for(prompt)
            for number in range(retries + 1):
                try:
                    await providers[name].complete(request, lambda _: None)
                except ProviderError as problem:
                    if problem.kind not in PASSING or number == retries:
                        return False
                    await asyncio.sleep(_backoff(number, problem.retry_after, jitter.random()))
                else:
                    return True
            return False

        return ask

    return subject


def _backoff(number: int, asked: float | None, jitter: float) -> float:
    """As SDKs do it: what the provider asks for, else twice as long each time, less up to a quarter."""
    if asked is not None and asked <= NAIVE_LONGEST_SECONDS:
        return asked
    return NAIVE_BACKOFF_SECONDS * (1 << number) * (1 - jitter / 4)


def _routed(providers: Providers, seed: int) -> Subject:
    product = Product(providers, virtual_time.clock, seed)

    async def ask(prompt: str, seen: Seen) -> bool:
        decision, book = product.decide(prompt), Unbooked(product, prompt, clock=virtual_time.clock)
        if not decision.candidates:
            return False
        try:
            await product.answer(decision, book)
        except NoAnswer:
            return False
        finally:
            look(book, seen)
        return True

    return ask


def look(book: Unbooked, seen: Seen) -> None:
    """Take down how long the router took to go on, and how long it let a call hang."""
    seen.waits += book.waits
    called: set[str] = set()
    for before, after in zip([None, *book.visits], book.visits, strict=False):
        # A candidate that was called before is called again only after a pause, which is no switch.
        if before and before.ended is not None and after.candidate.name not in called:
            seen.switches.append(after.opened - before.ended)
        called.add(after.candidate.name)
    for visit in book.visits:
        if visit.failed and visit.failed.failure is FailureKind.TIMEOUT and visit.ended is not None:
            seen.held.append(visit.ended - visit.opened)
            seen.beyond.append(max(0.0, visit.ended - visit.opened - visit.limits.first_token))


_SUBJECTS: Mapping[str, Callable[[Providers, int], Subject]] = {
    "openai alone": _alone("openai"),
    "groq alone": _alone("groq"),
    f"openai, {NAIVE_RETRIES} naive retries": _alone("openai", NAIVE_RETRIES),
    f"groq, {NAIVE_RETRIES} naive retries": _alone("groq", NAIVE_RETRIES),
    "routed": _routed,
}


def _trial() -> Trial:
    usual, parser = Trial(), argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=usual.requests)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--between", type=float, default=usual.between)
    parser.add_argument("--burst-seconds", type=float, default=usual.model.burst_seconds)
    parser.add_argument("--in-bursts", type=float, default=usual.model.in_bursts)
    parser.add_argument("--alone", type=float, default=usual.model.alone)
    given = parser.parse_args()
    model = FaultModel(burst_seconds=given.burst_seconds, in_bursts=given.in_bursts, alone=given.alone)
    return Trial(requests=given.requests, model=model, between=given.between, seed=given.seed)


if __name__ == "__main__":
    compared(_trial())
