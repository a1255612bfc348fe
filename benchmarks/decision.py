"""Time of a route decision over the whole catalogue, warm; of one that may explore; and with a prompt of 1 kB read for
its features.
"""

import time
from collections.abc import Callable

import numpy as np
from measure import Measurement, Result, alone, fewer

from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide

ROUNDS = 30
DECISIONS_IN_ROUND = 100
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
    return [
        await alone(f"decision {name}", _time_of(decision), unit="us", rounds=fewer(ROUNDS, share)),
        await alone(f"decision {name} that may explore", _time_of(drawn), unit="us", rounds=fewer(ROUNDS, share)),
        await alone(f"features of 1 kB and decision {name}", _time_of(route), unit="us", rounds=fewer(ROUNDS, share)),
    ]


def _time_of(work: Callable[[], None]) -> Measurement:
    async def measure() -> float:
        begun = time.perf_counter()
        for _ in range(DECISIONS_IN_ROUND):
            work()
        return (time.perf_counter() - begun) / DECISIONS_IN_ROUND * 1e6

    return measure
