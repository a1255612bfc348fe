"""A simulated month of a team's calls, for how often alerts are false, and incidents to put into it.

What makes calls differ from hour to hour though nothing is wrong is in it: office hours, weekends, kinds of work that
take turns for an hour, answers of very different lengths, providers that are slower when the world is awake, tails, a
few errors at all times, and minutes in which a provider refuses what comes too fast.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DAYS = 37  # a week of history, and the month that is judged
_BUSIEST_A_MINUTE, _QUIETEST_A_MINUTE = 3.0, 0.05


class Model(NamedTuple):
    """`share` of the calls; milliseconds to begin, and for each token; US dollars for a million tokens written."""

    provider: str
    name: str
    share: float
    first_ms: float
    token_ms: float
    dollars: float


MODELS = (
    Model("openai", "gpt-4o-mini", 0.35, 450, 11, 0.6),
    Model("openai", "gpt-4o", 0.15, 600, 14, 10),
    Model("groq", "gpt-oss-20b", 0.35, 200, 1.2, 0.3),
    Model("groq", "gpt-oss-120b", 0.15, 250, 2.2, 0.6),
)
# The median of the tokens that an answer has, by kind of work, and how often it is asked for.
_KINDS = {40: 0.25, 150: 0.35, 400: 0.3, 1200: 0.1}
_SPREAD_OF_TOKENS, _SPREAD_OF_MS, _SPREAD_OF_HOUR = 0.6, 0.35, 0.08
# In a third of the hours somebody has one kind of work done, which is then so much of all.
_ONE_SIDED_HOURS, _ONE_SIDED_SHARE = 0.33, 0.7
_SLOW_TAIL, _ERRORS = 0.01, 0.01
# So many times a day a provider refuses this share of the calls of two minutes.
_REFUSALS_A_DAY, _REFUSAL_MINUTES, _REFUSED = 3, 2.0, 0.5


class Call(NamedTuple):
    """`at`: when it ended, in seconds; `failed`: the vendor did not answer; `nano`: its cost in nano-US-dollars."""

    at: float
    provider: str
    model: str
    failed: bool
    ms: float
    tokens: int
    nano: int


def month(seed: int, days: int = DAYS) -> list[Call]:
    """The calls of so many days in which nothing is wrong, by their time."""
    dice = Random(seed)
    calls: list[Call] = []
    for hour in range(days * 24):
        calls += _hour(dice, hour)
    return sorted(calls)


def _hour(dice: Random, hour: int) -> list[Call]:
    load = _load(hour)
    mix = _mix(dice)
    slowness = {model: (1 + 0.25 * load) * dice.lognormvariate(0, _SPREAD_OF_HOUR) for model in MODELS}
    refusing = _refusals(dice)
    calls, at = [], 0.0
    each_minute = _QUIETEST_A_MINUTE + (_BUSIEST_A_MINUTE - _QUIETEST_A_MINUTE) * load
    while (at := at + dice.expovariate(each_minute / MINUTE)) < HOUR:
        model = dice.choices(MODELS, [model.share for model in MODELS])[0]
        calls.append(_call(dice, model, hour * HOUR + at, mix, slowness[model], refused=_within(refusing, model, at)))
    return calls


def _load(hour: int) -> float:
    """0-1: how busy the hour of the week is."""
    of_day, weekend = hour % 24, (hour // 24) % 7 >= 5  # noqa: PLR2004 - Saturday
    busy = 1.0 if 9 <= of_day < 18 else 0.4 if 7 <= of_day < 22 else 0.05  # noqa: PLR2004 - hours of a day
    return busy * (0.15 if weekend else 1.0)


def _mix(dice: Random) -> Sequence[float]:
    if dice.random() >= _ONE_SIDED_HOURS:
        return list(_KINDS.values())
    most = dice.choice(list(_KINDS))
    return [(1 - _ONE_SIDED_SHARE) * share + _ONE_SIDED_SHARE * (kind == most) for kind, share in _KINDS.items()]


def _refusals(dice: Random) -> dict[str, float]:
    """Which providers refuse in this hour, from which second."""
    providers = sorted({model.provider for model in MODELS})
    return {name: dice.uniform(0, HOUR) for name in providers if dice.random() < _REFUSALS_A_DAY / 24}


def _within(refusing: dict[str, float], model: Model, at: float) -> bool:
    began = refusing.get(model.provider)
    return began is not None and began <= at < began + _REFUSAL_MINUTES * MINUTE


def _call(dice: Random, model: Model, at: float, mix: Sequence[float], slowness: float, *, refused: bool) -> Call:
    median = dice.choices(list(_KINDS), mix)[0]
    tokens = max(1, round(median * dice.lognormvariate(0, _SPREAD_OF_TOKENS)))
    tail = dice.uniform(5, 20) if dice.random() < _SLOW_TAIL else 1.0
    ms = (model.first_ms + tokens * model.token_ms) * slowness * tail * dice.lognormvariate(0, _SPREAD_OF_MS)
    failed = dice.random() < (_REFUSED if refused else _ERRORS)
    return Call(at, model.provider, model.name, failed, ms, tokens, round(tokens * model.dollars * 1000))


class Incident(NamedTuple):
    """What goes wrong with a provider from `at` on, for so many seconds; `kind` is of the alert that should tell."""

    kind: str
    provider: str
    at: float
    seconds: float
    change: Callable[[Random, Call], Call]

    @property
    def until(self) -> float:
        return self.at + self.seconds


def incidents() -> list[Incident]:
    """Of each working week of the month, at ten in the morning, each provider in turn; one dear day at its end."""
    found = []
    for week, provider in zip((1, 2, 3, 4), ("openai", "groq", "openai", "groq"), strict=True):
        monday, tuesday, wednesday = (week * 7 * DAY + day * DAY + 10 * HOUR for day in (0, 1, 2))
        found += [
            Incident("latency", provider, monday, HOUR, lambda _, call: call._replace(ms=3 * call.ms)),
            Incident("error_rate", provider, tuesday, HOUR, lambda dice, call: _failing(dice, call, 0.3)),
            Incident("provider_down", provider, wednesday, HOUR, lambda dice, call: _failing(dice, call, 1.0)),
        ]
    dear = Incident("cost", "openai", 31 * DAY + 10 * HOUR, DAY, lambda _, call: call._replace(nano=4 * call.nano))
    return [*found, dear]


def _failing(dice: Random, call: Call, share: float) -> Call:
    return call._replace(failed=call.failed or dice.random() < share)


def with_incidents(calls: Sequence[Call], seed: int) -> list[Call]:
    dice, changed = Random(seed), []
    for call in calls:
        meets = [each for each in incidents() if each.provider == call.provider and each.at <= call.at < each.until]
        changed.append(meets[0].change(dice, call) if meets else call)
    return changed
