"""Which models are asked, and in which order: hard filters, then utility by the agent's policy. Pure.

It makes no call, reserves no money and takes no probe of a breaker: asking for a decision changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Candidate, Decision, Excluded, NanoUsd, Policy, TaskType
from vel_tutor_mcp.routing import reasons
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.features import Features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import OVERHEAD_TOKENS, Prices, estimated_tokens, expected_output, usd
from vel_tutor_mcp.routing.priors import VALUE_USD, WEIGHTS, Weights, p_ok
from vel_tutor_mcp.routing.retry import LONGEST_WAIT_SECONDS

MOST_CANDIDATES = 5

# Output tokens below which an answer is of no use; a reasoning model spends most of them unseen.
SHORTEST_ANSWER, SHORTEST_REASONED_ANSWER = 64, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """What is to be routed.

    `prompt_bytes` as `ledger.prompt_bytes` counts all that is sent; `available` is the money left in the tightest
    budget, None where there is none; `configured` are the providers that have a key or a base URL. By the models' full
    names: `warm` is how many of the prompt's tokens each has read lately, `delays` the seconds until its rate limit
    takes the call; models without either are left out.
    """

    features: Features
    prompt_bytes: int
    configured: frozenset[str]
    providers: tuple[str, ...] = ()
    model_preferences: Mapping[TaskType, str] = field(default_factory=dict)
    policy: Policy = Policy.BALANCED
    fallback: bool = True
    max_output_tokens: int = 4096
    needs_json_schema: bool = False
    available: NanoUsd | None = None
    allow_unpriced: bool = False
    warm: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _View:
    """What a decision looks at."""

    request: RouteRequest
    catalog: Catalog
    prices: Prices
    health: Health
    now: float
    preferred: ModelRow | None


def decide(request: RouteRequest, catalog: Catalog, prices: Prices, health: Health, now: float) -> Decision:
    """The candidates in the order in which to try them, none where every model is excluded. `now`: epoch seconds."""
    preferred, excluded = _preferred(request, catalog)
    view = _View(request, catalog, prices, health, now, preferred)
    eligible: list[ModelRow] = []
    for row in catalog.models:
        obstacle = next((found for check in _OBSTACLES if (found := check(row, view))), None)
        if obstacle:
            excluded.append(Excluded(provider=row.provider, model=row.model, reason=obstacle))
        else:
            eligible.append(row)
    excluded += _without_models(view)
    ranked = _ranked([_candidate(row, view) for row in eligible], view)
    chosen = _spread(ranked)[: MOST_CANDIDATES if request.fallback else 1]
    return Decision(
        task_type=request.features.task_type,
        confidence=request.features.confidence,
        policy=request.policy,
        candidates=tuple(chosen),
        excluded=tuple(excluded),
        reasons=reasons.for_choice(
            request.features, request.policy, chosen, ranked, preferred, excluded, _conditions(chosen, view)
        ),
    )


def output_limit(row: ModelRow, request: RouteRequest, prices: Prices) -> int:
    """The `max_output_tokens` to send: what the agent wants, less where model, window or budget allow less."""
    room = row.context_window - estimated_tokens(request.prompt_bytes) - OVERHEAD_TOKENS
    wanted = max(0, min(request.max_output_tokens, row.max_output_tokens, room))
    if request.available is None:
        return wanted
    return prices.affordable_output_tokens(row, request.prompt_bytes, wanted, request.available)


def _preferred(request: RouteRequest, catalog: Catalog) -> tuple[ModelRow | None, list[Excluded]]:
    name = request.model_preferences.get(request.features.task_type)
    if name is None:
        return None, []
    try:
        return catalog.find(name), []
    except InputError as error:
        return None, [Excluded(provider="", model=name, reason=f"{reasons.NO_SUCH_MODEL}: {error}")]


def _retired(row: ModelRow, view: _View) -> str | None:
    return reasons.RETIRED if row.retired and row != view.preferred else None


def _not_allowed(row: ModelRow, view: _View) -> str | None:
    allowed = view.request.providers
    return f"{reasons.NOT_ALLOWED}: {', '.join(allowed)} only" if allowed and row.provider not in allowed else None


def _no_key(row: ModelRow, view: _View) -> str | None:
    variable = view.catalog.providers[row.provider].variable
    return None if row.provider in view.request.configured else f"{reasons.NO_KEY}{variable}"


def _circuit_open(row: ModelRow, view: _View) -> str | None:
    until = view.health.open_until(row.provider, row.model, view.now)
    return None if until is None else f"{reasons.CIRCUIT_OPEN} {reasons.clock(until)}"


def _used_up(row: ModelRow, view: _View) -> str | None:
    delay = view.request.delays.get(row.name, 0.0)
    return f"{reasons.USED_UP} {reasons.clock(view.now + delay)}" if delay > LONGEST_WAIT_SECONDS else None


def _too_long(row: ModelRow, view: _View) -> str | None:
    tokens = estimated_tokens(view.request.prompt_bytes)
    if tokens + OVERHEAD_TOKENS + shortest_output(row, view.request) <= row.context_window:
        return None
    return f"{reasons.TOO_LONG} of about {tokens:,} tokens does not fit its window of {row.context_window:,}"


def _no_schema(row: ModelRow, view: _View) -> str | None:
    return reasons.NO_SCHEMA if view.request.needs_json_schema and "json_schema" not in row.capabilities else None


def _unpriced(row: ModelRow, view: _View) -> str | None:
    return reasons.UNPRICED if not view.request.allow_unpriced and view.prices.cost(row, 0, 0) is None else None


def _over_budget(row: ModelRow, view: _View) -> str | None:
    request, shortest = view.request, shortest_output(row, view.request)
    if request.available is None:
        return None
    worst = view.prices.worst_case(row, request.prompt_bytes, shortest)
    if worst is None or worst <= request.available:
        return None
    return f"{reasons.OVER_BUDGET} {reasons.money(usd(worst))}, of {reasons.money(usd(request.available))} left"


_OBSTACLES: tuple[Callable[[ModelRow, _View], str | None], ...] = (
    _retired,
    _not_allowed,
    _no_key,
    _circuit_open,
    _used_up,
    _too_long,
    _no_schema,
    _unpriced,
    _over_budget,
)


def shortest_output(row: ModelRow, request: RouteRequest) -> int:
    useful = SHORTEST_REASONED_ANSWER if "reasoning" in row.capabilities else SHORTEST_ANSWER
    return min(useful, request.max_output_tokens, row.max_output_tokens)


def _without_models(view: _View) -> Iterable[Excluded]:
    offered = {row.provider for row in view.catalog.models}
    for provider in view.catalog.providers:
        if provider in view.request.configured and provider not in offered:
            yield Excluded(provider=provider, model="", reason=reasons.NO_MODELS)


def _candidate(row: ModelRow, view: _View) -> Candidate:
    request = view.request
    tokens_out = min(request.features.tokens_out, request.max_output_tokens, row.max_output_tokens)
    warm = request.warm.get(row.name, 0)
    cost = view.prices.estimate(row, request.prompt_bytes, tokens_out, warm) or NanoUsd(0)
    latency = view.health.speed(row, view.now).total_ms(expected_output(row, tokens_out))
    latency += round(1000 * request.delays.get(row.name, 0.0))
    good = p_ok(row, request.features.task_type, request.features.difficulty)
    up = view.health.p_up(row.provider, row.model, view.now)
    value = VALUE_USD[request.features.task_type]
    return Candidate(
        provider=row.provider,
        model=row.model,
        p_ok=good,
        p_up=round(up, 4),
        expected_cost_nanousd=cost,
        expected_latency_ms=latency,
        utility=_utility(WEIGHTS[request.policy], value * good * up, usd(cost), latency / 1000, 1 - up),
    )


def _conditions(chosen: Sequence[Candidate], view: _View) -> tuple[str, ...]:
    """What spoke for the first one, or against another, only for now."""
    request = view.request
    warm = reasons.warm(chosen, request.warm) if _saves(chosen, view) else None
    return tuple(found for found in (warm, reasons.paced(request.delays)) if found)


def _saves(chosen: Sequence[Candidate], view: _View) -> bool:
    """Whether the first one is cheaper by what it has read before."""
    if not chosen or not view.request.warm.get(chosen[0].name):
        return False
    row = view.catalog.find(chosen[0].name)
    tokens = estimated_tokens(view.request.prompt_bytes)
    cold, warm = (view.prices.cost(row, tokens, 0, cached) for cached in (0, view.request.warm[row.name]))
    return (cold or 0) > (warm or 0)


def _utility(weights: Weights, value: float, cost: float, seconds: float, risk: float) -> float:
    return round(weights.value * value - weights.cost * cost - weights.latency * seconds - weights.risk * risk, 9)


def _ranked(candidates: Sequence[Candidate], view: _View) -> list[Candidate]:
    """Best first, the preferred model before all; equal ones by the agent's order of providers, then the catalog's."""
    request, floor = view.request, WEIGHTS[view.request.policy].floor
    places = {provider: place for place, provider in enumerate(request.providers or view.catalog.providers)}

    def rank(candidate: Candidate) -> tuple[bool, bool, float, float, int]:
        first = view.preferred is not None and candidate.name == view.preferred.name
        place = places[candidate.provider]
        if request.policy is Policy.FIXED:
            return not first, False, 0.0, 0.0, place
        good_enough = candidate.p_ok >= floor
        return not first, not good_enough, -candidate.utility if good_enough else 0.0, -candidate.p_ok, place

    return sorted(candidates, key=rank)


def _spread(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The first, then the best of each other provider (an outage seldom stops at one model), then the rest."""
    best_of = {candidate.provider: candidate for candidate in reversed(ranked)}
    heads = [candidate for candidate in ranked if best_of[candidate.provider] is candidate]
    return heads + [candidate for candidate in ranked if best_of[candidate.provider] is not candidate]
