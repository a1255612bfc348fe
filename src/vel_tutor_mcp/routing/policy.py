"""Which models are asked, and in which order: hard filters, then utility by the agent's policy. Pure.

It makes no call, reserves no money and takes no probe of a breaker: asking for a decision changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Candidate, Decision, Evidence, Excluded, NanoUsd, Policy, TaskType
from vel_tutor_mcp.policies import Weights
from vel_tutor_mcp.routing import reasons
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow, Tier
from vel_tutor_mcp.routing.exploration import First, drawn_first
from vel_tutor_mcp.routing.features import DIFFICULTY, Features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.learning import posterior
from vel_tutor_mcp.routing.ledger import OVERHEAD_TOKENS, Prices, estimated_tokens, expected_output, usd
from vel_tutor_mcp.routing.priors import VALUE_USD, p_ok_of, p_ok_of_tiers
from vel_tutor_mcp.routing.retry import LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    import numpy as np

MOST_CANDIDATES = 5

# In P(good enough): by how much another model must be better than the default, or cheaper for the same.
GUARD = 0.005

# What `p_ok_of` takes, for the typical prompt of each task type.
TYPICAL = {task_type: p_ok_of_tiers(task_type, difficulty) for task_type, difficulty in DIFFICULTY.items()}

# Output tokens below which an answer is of no use; a reasoning model spends most of them unseen.
SHORTEST_ANSWER, SHORTEST_REASONED_ANSWER = 64, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """What is to be routed.

    `prompt_bytes` as `ledger.prompt_bytes` counts all that is sent; `available` is the money left in the tightest
    budget, None where there is none; `configured` are the providers that have a key or a base URL, `lines` the
    owner's own to some of them, `withheld` why those are not asked of which the owner's key is not active. `evidence`
    is what feedback says of (provider, model) for tasks of this type; `exploration` the share of decisions that may
    learn. By the models' full names: `warm` is how many of the prompt's tokens each has read lately, `delays` the
    seconds until its rate limit takes the call; `learned` what an owner's weights say of P(good enough) for this
    prompt; models without any are left out.
    """

    features: Features
    prompt_bytes: int
    configured: frozenset[str]
    lines: Mapping[str, str] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    providers: tuple[str, ...] = ()
    model_preferences: Mapping[TaskType, str] = field(default_factory=dict)
    policy: Policy = Policy.BALANCED
    fallback: bool = True
    max_output_tokens: int = 4096
    needs_json_schema: bool = False
    available: NanoUsd | None = None
    allow_unpriced: bool = False
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict)
    exploration: float = 0.0
    warm: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)
    learned: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _View:
    """What a decision looks at, and what is the same for all of its rows."""

    request: RouteRequest
    tokens_in: int
    tokens_out: int
    of_tiers: Mapping[Tier, float]
    value: float
    weights: Weights
    catalog: Catalog
    prices: Prices
    health: Health
    now: float
    preferred: ModelRow | None


Check = Callable[[ModelRow, _View], str | None]


def decide(
    request: RouteRequest,
    catalog: Catalog,
    prices: Prices,
    health: Health,
    now: float,
    chance: "np.random.Generator | None" = None,
) -> Decision:
    """The candidates in the order in which to try them, none where every model is excluded.

    `now`: epoch seconds. Without a `chance` to draw from nothing is explored, and the same always gives the same.
    """
    preferred, excluded = _preferred(request, catalog)
    seen = request.features
    view = _View(
        request=request,
        tokens_in=estimated_tokens(request.prompt_bytes),
        tokens_out=min(seen.tokens_out, request.max_output_tokens),
        of_tiers=p_ok_of_tiers(seen.task_type, seen.difficulty),
        value=VALUE_USD[seen.task_type],
        weights=request.policy.weights,
        catalog=catalog,
        prices=prices,
        health=health,
        now=now,
        preferred=preferred,
    )
    eligible, left_out = _filtered(view)
    excluded += left_out + _without_models(view)
    ranked = _guarded(_ranked(_candidates(eligible, view), view), eligible, view)
    first = _first(ranked, view, chance)
    # Without fallback nobody else is asked, so nobody else is told of.
    chosen = _spread(_led_by(ranked, first.place))[: MOST_CANDIDATES if request.fallback else 1]
    return Decision(
        task_type=request.features.task_type,
        confidence=request.features.confidence,
        policy=request.policy,
        candidates=tuple(chosen),
        excluded=tuple(excluded),
        reasons=reasons.for_choice(
            request.features, request.policy, chosen, ranked, preferred, excluded, _conditions(chosen, view)
        ),
        propensity=first.propensity,
        explored=first.place > 0,
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


def _not_the_one(row: ModelRow, view: _View) -> str | None:
    return None if row == view.preferred else reasons.NOT_THE_ONE


def _not_allowed(row: ModelRow, view: _View) -> str | None:
    allowed = view.request.providers
    return f"{reasons.NOT_ALLOWED}: {', '.join(allowed)} only" if row.provider not in allowed else None


def _line(row: ModelRow, view: _View) -> str:
    return view.request.lines.get(row.provider, row.provider)


def _no_key(row: ModelRow, view: _View) -> str | None:
    if row.provider in view.request.configured:
        return None
    if row.provider in view.request.withheld:
        return view.request.withheld[row.provider]
    return f"{reasons.NO_KEY}{view.catalog.providers[row.provider].variable}"


def _circuit_open(row: ModelRow, view: _View) -> str | None:
    until = view.health.open_until(_line(row, view), row.model, view.now)
    return None if until is None else f"{reasons.CIRCUIT_OPEN} {reasons.clock(until)}"


def _used_up(row: ModelRow, view: _View) -> str | None:
    delay = view.request.delays.get(row.name, 0.0)
    return f"{reasons.USED_UP} {reasons.clock(view.now + delay)}" if delay > LONGEST_WAIT_SECONDS else None


def _too_long(row: ModelRow, view: _View) -> str | None:
    if view.tokens_in + OVERHEAD_TOKENS + shortest_output(row, view.request) <= row.context_window:
        return None
    return f"{reasons.TOO_LONG} of about {view.tokens_in:,} tokens does not fit its window of {row.context_window:,}"


def _no_schema(row: ModelRow, _: _View) -> str | None:
    return None if "json_schema" in row.capabilities else reasons.NO_SCHEMA


def _unpriced(row: ModelRow, view: _View) -> str | None:
    return None if view.prices.has(row) else reasons.UNPRICED


def _over_budget(row: ModelRow, view: _View) -> str | None:
    request = view.request
    if request.available is None:
        return None
    worst = view.prices.worst_case(row, request.prompt_bytes, shortest_output(row, request))
    if worst is None or worst <= request.available:
        return None
    return f"{reasons.OVER_BUDGET} {reasons.money(usd(worst))}, of {reasons.money(usd(request.available))} left"


def _checks(view: _View) -> list[Check]:
    """What may stand against a model for this request, in the order in which it is told."""
    request, catalog = view.request, view.catalog
    checks = (
        (_not_the_one, _is_pinned(request)),
        (_retired, catalog.has_retired),
        (_not_allowed, request.providers),
        (_no_key, not catalog.offering <= request.configured),
        (_circuit_open, view.health.any_open),
        (_used_up, request.delays),
        (_too_long, view.tokens_in + OVERHEAD_TOKENS + SHORTEST_REASONED_ANSWER > catalog.least_window),
        (_no_schema, request.needs_json_schema),
        (_unpriced, not request.allow_unpriced and not view.prices.has_all(catalog)),
        (_over_budget, request.available is not None),
    )
    return [check for check, may in checks if may]


def _is_pinned(request: RouteRequest) -> bool:
    named = request.features.task_type in request.model_preferences
    return named and request.policy is Policy.FIXED and not request.fallback


def _filtered(view: _View) -> tuple[list[ModelRow], list[Excluded]]:
    """The models that could be asked, and the others."""
    eligible: list[ModelRow] = []
    excluded: list[Excluded] = []
    checks = _checks(view)
    for row in view.catalog.models:
        for check in checks:
            if obstacle := check(row, view):
                excluded.append(Excluded(provider=row.provider, model=row.model, reason=obstacle))
                break
        else:
            eligible.append(row)
    return eligible, excluded


def shortest_output(row: ModelRow, request: RouteRequest) -> int:
    useful = SHORTEST_REASONED_ANSWER if "reasoning" in row.capabilities else SHORTEST_ANSWER
    return min(useful, request.max_output_tokens, row.max_output_tokens)


def _without_models(view: _View) -> list[Excluded]:
    """The providers that could be asked if the catalog had a model of them; the local one says itself which it has."""
    configured, allowed = view.request.configured, view.request.providers or view.catalog.providers
    return [
        Excluded(name, "", reasons.NOT_KNOWN if name == "local" else reasons.NO_MODELS)
        for name in view.catalog.without_models
        if name in configured and name in allowed
    ]


def _candidates(rows: Sequence[ModelRow], view: _View) -> list[Candidate]:
    """What is expected of each model.

    Most of a decision's time is spent in here: what is the same for all is looked up once, and what is mostly empty
    is not looked into.
    """
    request, now = view.request, view.now
    lines, warm, delays, evidence = request.lines, request.warm, request.delays, request.evidence
    task_type, tokens_in, tokens_out = request.features.task_type, view.tokens_in, view.tokens_out
    by_value, by_cost, by_latency, by_risk, _ = view.weights
    candidates = []
    for row in rows:
        provider, model, name = row.provider, row.model, row.name
        known = view.health.known(lines.get(provider, provider), model)
        billed = expected_output(row, min(tokens_out, row.max_output_tokens))
        cost = view.prices.cost(row, tokens_in, billed, warm.get(name, 0)) or NanoUsd(0)
        latency, up = known.total_ms(row, billed, now), known.p_up(now)
        if delays:
            latency += round(1000 * delays.get(name, 0.0))
        good, count = request.learned.get(name), 0.0
        if good is None:
            good = p_ok_of(row, task_type, view.of_tiers)
        if evidence:
            good, count = posterior(good, evidence.get((provider, model)), now)
        worth = by_value * (view.value * good * up)
        utility = round(worth - by_cost * usd(cost) - by_latency * (latency / 1000) - by_risk * (1 - up), 9)
        candidates.append(Candidate(provider, model, good, round(up, 4), cost, latency, utility, count))
    return candidates


def _conditions(chosen: Sequence[Candidate], view: _View) -> tuple[str, ...]:
    """What spoke for the first one, or against another, only for now."""
    request = view.request
    if not request.warm and not request.delays:
        return ()
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


def _ranked(candidates: Sequence[Candidate], view: _View) -> list[Candidate]:
    """Best first, the preferred model before all; equal ones by the agent's order of providers, then the catalog's."""
    request, floor = view.request, view.weights.floor
    places = view.catalog.places
    if request.providers:
        places = {provider: place for place, provider in enumerate(request.providers)}

    def rank(candidate: Candidate) -> tuple[bool, bool, float, float, int]:
        first = view.preferred is not None and candidate.name == view.preferred.name
        place = places[candidate.provider]
        if request.policy is Policy.FIXED:
            return not first, False, 0.0, 0.0, place
        good_enough = candidate.p_ok >= floor
        return not first, not good_enough, -candidate.utility if good_enough else 0.0, -candidate.p_ok, place

    return sorted(candidates, key=rank)


def _guarded(ranked: list[Candidate], eligible: Sequence[ModelRow], view: _View) -> list[Candidate]:
    """The default goes first, unless the best by all that is known of the prompt is better by the margin.

    The default is what would be best for any prompt of this task type: by its typical difficulty, and by feedback.
    What is seen in a single prompt is too uncertain to leave that for a hair's breadth.
    """
    worth = view.weights.value * view.value
    if not worth or view.preferred is not None or not ranked:
        return ranked
    near = ranked[0].utility - GUARD * worth
    if all(candidate.utility < near for candidate in ranked[1:]):
        return ranked
    typical = _typical(eligible, view)
    default = max(ranked, key=lambda one: one.utility + worth * one.p_up * (typical[one[:2]] - one.p_ok))
    if default.utility < near:
        return ranked
    return [default, *(candidate for candidate in ranked if candidate is not default)]


def _typical(rows: Sequence[ModelRow], view: _View) -> dict[tuple[str, str], float]:
    """P(good enough) of each (provider, model) for the typical prompt of the task type."""
    task_type, evidence = view.request.features.task_type, view.request.evidence
    of_tiers = TYPICAL[task_type]
    priors = {(row.provider, row.model): p_ok_of(row, task_type, of_tiers) for row in rows}
    return {of: posterior(prior, evidence.get(of), view.now)[0] for of, prior in priors.items()} if evidence else priors


def _first(ranked: Sequence[Candidate], view: _View, chance: "np.random.Generator | None") -> First:
    """Who goes first: the best, or for a share of the decisions one to learn from, but never against what is named."""
    request, weights = view.request, view.weights
    named = request.policy is Policy.FIXED or request.features.task_type in request.model_preferences
    if chance is None or named or request.exploration <= 0 or len(ranked) <= 1:
        return First(0, 1.0)
    return drawn_first(ranked, weights.value * view.value, weights.floor, request.exploration, chance)


def _led_by(ranked: Sequence[Candidate], place: int) -> Sequence[Candidate]:
    return [ranked[place], *ranked[:place], *ranked[place + 1 :]] if place else ranked


def _spread(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The first, then the best of each other provider (an outage seldom stops at one model), then the rest."""
    best_of = {candidate.provider: candidate for candidate in reversed(ranked)}
    heads = [candidate for candidate in ranked if best_of[candidate.provider] is candidate]
    return heads + [candidate for candidate in ranked if best_of[candidate.provider] is not candidate]
