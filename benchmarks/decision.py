"""Time of a route decision over the whole catalogue, warm; of one that may explore; and with a prompt of 1 kB read for
its features.
"""

import time
from collections.abc import Callable
from statistics import median, quantiles

import numpy as np
from measure import Measurement, Result, alone, fewer
from routing.mix import mix

from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide

ROUNDS = 30
DECISIONS_IN_ROUND = 100
CANDIDATES, CHARACTERS = 8, 1000
DECISIONS, WARM_UPS = 2000, 100
GOAL_P50, GOAL_P95 = 200, 1000
_EXPLORATION = 0.02

_PROMPT = (
    "Here are the minutes of a meeting. Summarise them in three sentences and say who does what until when. "
    "The release moves by a week because the translation is late; marketing keeps its date. "
).ljust(1000, ".")
_CONFIGURED = frozenset({"openai", "groq", "perplexity"})


async def results(share: float) -> list[Result]:
    catalog, health = Catalog.load({}), Health()
    prices = Prices(catalog)
    prices.load()
    now = time.time()
    read = features(_PROMPT, None)
    size, chance = prompt_bytes(_PROMPT), np.random.default_rng(1)

    def decision() -> None:
        decide(RouteRequest(features=read, prompt_bytes=size, configured=_CONFIGURED), catalog, prices, health, now)

    def drawn() -> None:
        request = RouteRequest(features=read, prompt_bytes=size, configured=_CONFIGURED, exploration=_EXPLORATION)
        decide(request, catalog, prices, health, now, chance)

    def route() -> None:
        request = RouteRequest(
            features=features(_PROMPT, None), prompt_bytes=prompt_bytes(_PROMPT), configured=_CONFIGURED
        )
        decide(request, catalog, prices, health, now)

    name = f"of {len(catalog.models)} models"
    took = [seconds * 1e6 for seconds in _times_of_eight(catalog)]
    return [
        *(
            Result(name=f"features of 1,000 characters, 8 candidates, p{place}", unit="us", ours=within, limit=limit)
            for place, within, limit in ((50, median(took), GOAL_P50), (95, quantiles(took, n=20)[-1], GOAL_P95))
        ),
        await alone(f"decision {name}", _time_of(decision), unit="us", rounds=fewer(ROUNDS, share)),
        await alone(f"decision {name} that may explore", _time_of(drawn), unit="us", rounds=fewer(ROUNDS, share)),
        await alone(f"features of 1 kB and decision {name}", _time_of(route), unit="us", rounds=fewer(ROUNDS, share)),
    ]


def _times_of_eight(catalog: Catalog) -> list[float]:
    """Seconds of each decision, from the prompt to the order of candidates."""
    live = [row for row in catalog.models if not row.retired and row.provider in _CONFIGURED]
    eight, health, taken = Catalog(catalog.providers, tuple(live[:CANDIDATES])), Health(), []
    prices = Prices(eight)
    prices.load()
    for asked in mix(DECISIONS, seed=1):
        # Cut or repeated: what is measured is the length, over all kinds of words.
        prompt = (asked.prompt * CHARACTERS)[:CHARACTERS]
        begun = time.perf_counter()
        request = RouteRequest(
            features=features(prompt, None), prompt_bytes=prompt_bytes(prompt), configured=_CONFIGURED
        )
        decide(request, eight, prices, health, 0.0)
        taken.append(time.perf_counter() - begun)
    return taken[WARM_UPS:]


def _time_of(work: Callable[[], None]) -> Measurement:
    async def measure() -> float:
        begun = time.perf_counter()
        for _ in range(DECISIONS_IN_ROUND):
            work()
        return (time.perf_counter() - begun) / DECISIONS_IN_ROUND * 1e6

    return measure
