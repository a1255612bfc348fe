"""What our routing makes of a mixed trace, beside one model for everything and a random mix: time, money, good answers.

Under assumptions: the mix of prompts is ours, speeds are the catalog's, prices those of genai-prices, and how often a
model's answer is good enough is what the priors say of it (for the prompt's real kind, which the router has to find
out). It shows what the router makes of what it believes; that this is so, it cannot show.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from measure import Result
from routing import virtual_time
from routing.intervals import bootstrap, percentile
from routing.mix import Asked, mix
from routing.mixture import Numbers, compared
from routing.product import Product, Unbooked
from routing.vendor import Pace, provider

from vel_tutor_mcp.models import Decision, Policy
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.estimate import Estimates, estimates
from vel_tutor_mcp.routing.features import Features, features
from vel_tutor_mcp.routing.ledger import Prices, expected_output, usd
from vel_tutor_mcp.routing.priors import p_ok

REQUESTS = 1000
FEWEST_REQUESTS = 100
SEED = 1
PROVIDERS = ("openai", "groq")
# OpenAI's best-known general model, its newest one, and Groq's best-known.
ALWAYS = ("openai/gpt-4o", "openai/gpt-6.1-terra", "groq/openai/gpt-oss-120b")
MIXED = ("openai/gpt-4o", "groq/openai/gpt-oss-120b")
ROUTED = (Policy.BALANCED, Policy.QUALITY, Policy.CHEAPEST, Policy.FASTEST)
COMPARED = (Policy.BALANCED, Policy.QUALITY)

# Spread of the length of answers, and of a vendor's speed from one call to the next (sigma of a log-normal).
LENGTH_SPREAD, SPEED_SPREAD = 0.4, 0.25
# The error (standard deviation) that is tried of the belief how good each model is.
PRIORS_OFF_BY = 0.05

_HEADING = (
    f"{'':<34} {'mean s (95 %)':>22} {'p50 s':>7} {'p95 s':>7} {'USD per 1,000 (95 %)':>26} {'good of 100 (95 %)':>22}"
)

Choose = Callable[[Product, str, Random], Decision]


async def results(share: float) -> list[Result]:
    # A loop of its own needs a thread of its own.
    return await asyncio.to_thread(_results, max(FEWEST_REQUESTS, round(REQUESTS * share)))


def _results(requests: int) -> list[Result]:
    world = World(requests, SEED)
    print(f"{requests:,} requests; speeds, prices and what is good enough are assumptions\n{_HEADING}", flush=True)
    played = {}
    for name, choose in _choices().items():
        played[name] = world.played(choose)
        print(_row(name, played[name]), flush=True)
    return [_saved(world, policy, played[_name(policy)]) for policy in COMPARED]


@dataclass(frozen=True, slots=True)
class Trip:
    """One answered request: by which model (its place in the world's rows), in how many seconds."""

    model: int
    seconds: float
    cost: float
    good: float


@dataclass(frozen=True, slots=True)
class Wish:
    """A request, what it really is, and how many tokens a reader would see of the answer, whoever gives it."""

    asked: Asked
    known: Features
    visible: int


class World:
    """The trace, and what each model would make of each request."""

    def __init__(self, requests: int, seed: int) -> None:
        catalog = Catalog.load({})
        self._prices = Prices(catalog)
        self._seed = seed
        self.rows = [row for row in catalog.models if row.provider in PROVIDERS and not row.retired]
        self._places = {row.model: place for place, row in enumerate(self.rows)}
        learned = estimates(catalog, None)
        self.wishes = [_wish(asked, learned, seed) for asked in mix(requests, seed)]
        self._by_prompt = {wish.asked.prompt: wish for wish in self.wishes}
        self.good = self._each(lambda row, wish: p_ok(row, wish.known.task_type, wish.known.difficulty))
        self.cost = self._each(self._cost)

    def _each(self, value: Callable[[ModelRow, Wish], float]) -> Numbers:
        return np.array([[value(row, wish) for wish in self.wishes] for row in self.rows])

    def _cost(self, row: ModelRow, wish: Wish) -> float:
        """US dollars."""
        cost = self._prices.cost(row, wish.known.tokens_in, _billed(row, wish))
        assert cost is not None
        return usd(cost)

    def pace(self, model: str, prompt: str) -> Pace:
        """How the model answers the prompt: whoever asks, the same."""
        row, wish = self.rows[self._places[model]], self._by_prompt[prompt]
        drawn, tokens = Random(f"{self._seed} {model} {prompt}"), _billed(row, wish)
        return Pace(
            first_token=row.first_token_ms / 1000 * drawn.lognormvariate(0, SPEED_SPREAD),
            rest=tokens / row.tokens_per_second * drawn.lognormvariate(0, SPEED_SPREAD),
            tokens_in=wish.known.tokens_in,
            tokens_out=tokens,
        )

    def played(self, choose: Choose) -> list[Trip]:
        providers = {name: provider(name, self.pace, None, str(self._seed)) for name in PROVIDERS}
        return virtual_time.run(self._play(Product(providers, virtual_time.clock, self._seed), choose))

    async def _play(self, product: Product, choose: Choose) -> list[Trip]:
        random, now, trips = Random(self._seed), asyncio.get_running_loop().time, []
        for number, wish in enumerate(self.wishes):
            begun, prompt = now(), wish.asked.prompt
            answered = await product.answer(choose(product, prompt, random), Unbooked(product, prompt))
            place = self._places[answered.candidate.model]
            trips.append(Trip(place, now() - begun, self.cost[place, number], self.good[place, number]))
        return trips


def _wish(asked: Asked, learned: Estimates, seed: int) -> Wish:
    known = features(asked.prompt, asked.kind)
    known = replace(known, difficulty=learned.of(asked.prompt, known)[0])
    drawn = Random(f"{seed} {asked.prompt}").lognormvariate(0, LENGTH_SPREAD)
    return Wish(asked, known, max(5, round(known.tokens_out * drawn)))


def _billed(row: ModelRow, wish: Wish) -> int:
    return min(expected_output(row, wish.visible), row.max_output_tokens)


def _choices() -> dict[str, Choose]:
    def always(name: str) -> Choose:
        return lambda product, prompt, _: product.decide(prompt, model=name)

    def mixed(product: Product, prompt: str, random: Random) -> Decision:
        return product.decide(prompt, model=random.choice(MIXED))

    def routed(policy: Policy) -> Choose:
        return lambda product, prompt, _: product.decide(prompt, policy)

    return {
        **{f"always {name}": always(name) for name in ALWAYS},
        "half gpt-4o, half gpt-oss-120b": mixed,
        **{_name(policy): routed(policy) for policy in ROUTED},
    }


def _name(policy: Policy) -> str:
    return f"routed, {policy}"


def _row(name: str, trips: Sequence[Trip]) -> str:
    seconds, cost = [trip.seconds for trip in trips], [1000 * trip.cost for trip in trips]
    return (
        f"{name:<34} {_mean(seconds, 2):>22} {percentile(seconds, 50):>7.1f} {percentile(seconds, 95):>7.1f}"
        f" {_mean(cost, 3):>26} {_mean([100 * trip.good for trip in trips], 1):>22}"
    )


def _mean(values: Sequence[float], digits: int) -> str:
    low, high = bootstrap(values)
    return f"{np.mean(values):.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]"


def _saved(world: World, policy: Policy, trips: Sequence[Trip]) -> Result:
    taken = np.array([trip.model for trip in trips])
    found = compared(world.good, world.cost, taken, PRIORS_OFF_BY, SEED)
    saved, better = ([getattr(one, name) for one in found] for name in ("saved", "better"))
    low, high = percentile(saved, 2.5), percentile(saved, 97.5)
    print(
        f"{_name(policy)}: costs {np.median(saved):.1%} [{low:.1%}, {high:.1%}] less than the cheapest random mix"
        f" that is as good by the same priors;\nwhere those are off by {PRIORS_OFF_BY:g} for each model, it gives"
        f" {100 * percentile(better, 2.5):+.1f} to {100 * percentile(better, 97.5):+.1f} good answers of 100 more"
    )
    return Result(
        name=f"{_name(policy)}: cost / random mix as good",
        unit="x",
        ours=float(1 - np.median(saved)),
        limit=1.0,
    )
