"""Some decisions are drawn, to learn: who goes first then, and how probable that was."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from vel_tutor_mcp.models import Candidate, Decision, Evidence, NanoUsd, Policy, TaskType
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.exploration import drawn_first
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.routing.policy import RouteRequest, decide

NOW = 1_800_000_000.0
CATALOG = Catalog.load()
PRICES = Prices(CATALOG)
CODE = RouteRequest(
    features=features("Please.", TaskType.CODE_GENERATION),
    prompt_bytes=400,
    configured=frozenset({"openai", "groq", "perplexity"}),
    exploration=0.2,
)
SEEDS = 1000


def decided(request: RouteRequest, seed: int | None = None) -> Decision:
    chance = None if seed is None else np.random.default_rng(seed)
    return decide(request, CATALOG, PRICES, Health(), NOW, chance)


def first(decision: Decision) -> str:
    return decision.candidates[0].name


def rated(good: float, bad: float) -> Evidence:
    return Evidence(good=good, bad=bad, at=datetime.fromtimestamp(NOW, UTC))


def candidate(model: str, p_ok: float, *, evidence: float = 0.0, cost: float = 0.0) -> Candidate:
    """Its utility is P(good enough) less its cost."""
    return Candidate(
        provider="groq",
        model=model,
        p_ok=p_ok,
        p_up=1.0,
        expected_cost_nanousd=NanoUsd(0),
        expected_latency_ms=100,
        utility=p_ok - cost,
        evidence=evidence,
    )


@pytest.mark.parametrize(
    "ranked",
    [
        [candidate("a", 0.8), candidate("b", 0.75)],
        [candidate("a", 0.9, evidence=40), candidate("new", 0.7), candidate("c", 0.5, evidence=5)],
        [candidate("a", 0.6, cost=0.01), candidate("dear", 0.9, cost=0.4), candidate("c", 0.3)],
    ],
)
@pytest.mark.parametrize("floor", [0.0, 0.6])
def test_the_logged_propensities_are_those_with_which_candidates_go_first(
    ranked: list[Candidate], floor: float
) -> None:
    """Weighed by 1 / propensity, each candidate goes first once in each draw, on average."""
    chance, share, draws = np.random.default_rng(7), 0.2, 3000
    drawn = [drawn_first(ranked, 1.0, floor, share, chance) for _ in range(draws)]
    for place in range(len(ranked)):
        weights = np.array([1 / found.propensity if found.place == place else 0.0 for found in drawn])
        margin = 4 * weights.std() / draws**0.5
        assert weights.mean() == pytest.approx(1, abs=margin), place


def test_of_two_equals_each_goes_first_in_half_of_what_is_explored() -> None:
    ranked, chance = [candidate("a", 0.8), candidate("b", 0.8)], np.random.default_rng(3)
    drawn = [drawn_first(ranked, 1.0, 0.0, 0.2, chance) for _ in range(4000)]
    assert np.mean([found.place for found in drawn]) == pytest.approx(0.1, abs=0.02)
    assert np.mean([found.propensity for found in drawn if found.place]) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"exploration": 0.0},
        {"policy": Policy.FIXED},
        {"model_preferences": {TaskType.CODE_GENERATION: "gpt-4o"}},
        {"providers": ("perplexity",), "model_preferences": {TaskType.CODE_GENERATION: "no-such-model"}},
    ],
)
def test_nothing_is_left_to_chance_without_a_share_or_against_what_is_named(change: dict[str, Any]) -> None:
    request = replace(CODE, **change)
    assert {decided(request, seed) for seed in range(40)} == {decided(request)}
    assert (decided(request).propensity, decided(request).explored) == (1.0, False)


def test_without_a_chance_nothing_is_explored() -> None:
    assert decided(CODE) == decided(CODE)
    assert not decided(CODE).explored


def test_the_same_seed_gives_the_same_decision() -> None:
    assert [decided(CODE, seed) for seed in range(20)] == [decided(CODE, seed) for seed in range(20)]


def test_only_what_passes_every_filter_is_explored_and_it_is_said() -> None:
    usual = first(decided(CODE))
    explored = [found for seed in range(200) if (found := decided(CODE, seed)).explored]
    assert explored
    for found in explored:
        assert first(found) != usual
        assert first(found) not in {f"{out.provider}/{out.model}" for out in found.excluded}
        assert found.reasons[0].startswith(f"{first(found)} goes first to learn how good it is: ")
        assert f"; {usual} would have been the best balance" in found.reasons[0]
        assert 0 < found.propensity < CODE.exploration


def test_who_is_drawn_goes_first_and_the_others_keep_their_order() -> None:
    of_one = replace(CODE, configured=frozenset({"groq"}))
    usual = [candidate.name for candidate in decided(of_one).candidates]
    drawn = {name: decided(of_one, seed) for seed in range(200) if (name := first(decided(of_one, seed)))}
    assert len(drawn) > 1
    for name, decision in drawn.items():
        rest = [other for other in usual if other != name]
        assert [candidate.name for candidate in decision.candidates] == [name, *rest]
        assert decision.explored is (name != usual[0])


def test_one_of_two_is_explored_too() -> None:
    dear = {"provider": "local", "model": "b", "tier": "small", "context_window": 8192}
    catalog = Catalog.load({"models": [dear, dear | {"model": "a"}]})
    request = replace(CODE, configured=frozenset({"local"}))
    found = {
        first(decide(request, catalog, Prices(catalog), Health(), NOW, np.random.default_rng(seed)))
        for seed in range(100)
    }
    assert found == {"local/a", "local/b"}


def test_the_share_of_explored_decisions_is_no_more_than_was_set() -> None:
    explored = sum(decided(replace(CODE, exploration=0.1), seed).explored for seed in range(SEEDS))
    assert 0 < explored < 0.1 * SEEDS * 1.3


def test_a_new_model_without_feedback_is_not_starved() -> None:
    """A well-rated rival stands before it, and still it is tried, more often than one that was found worse."""
    ranked = [candidate("a", 0.9, evidence=60), candidate("new", 0.8), candidate("worse", 0.5, evidence=60)]
    chance = np.random.default_rng(11)
    firsts = Counter(drawn_first(ranked, 1.0, 0.0, 0.02, chance).place for _ in range(8 * SEEDS))
    assert firsts[0] > 0.98 * 8 * SEEDS
    assert firsts[1] > 0.003 * 8 * SEEDS > 10 * firsts[2]


def test_enough_bad_ratings_move_the_choice_and_good_ones_bring_it_back() -> None:
    best = decided(CODE).candidates[0]

    def choice(good: float, bad: float) -> str:
        return first(decided(replace(CODE, evidence={(best.provider, best.model): rated(good, bad)})))

    assert choice(0, 12) != best.name
    assert choice(60, 12) == best.name


@pytest.mark.parametrize(
    ("task_type", "difficulty", "model", "good"),
    [
        (TaskType.SUMMARIZATION, 0.4, "openai/gpt-oss-20b", 3),
        (TaskType.GENERAL, 0.0, "openai/gpt-oss-120b", 10),
    ],
)
def test_the_default_of_a_task_type_is_the_best_by_feedback_too(
    task_type: TaskType, difficulty: float, model: str, good: float
) -> None:
    """The two stand so near to each other that what is seen in this prompt does not decide."""
    seen = replace(features("Please.", task_type), difficulty=difficulty)
    request = replace(CODE, features=seen, configured=frozenset({"groq"}))
    assert decided(request).candidates[0].model != model
    evidence = {("groq", model): rated(good, 0)}
    assert decided(replace(request, evidence=evidence)).candidates[0].model == model


def test_a_decision_says_for_how_much_feedback_its_expectation_counts() -> None:
    usual = decided(CODE).candidates[0]
    found = decided(replace(CODE, evidence={(usual.provider, usual.model): rated(11, 1)}))
    assert found.candidates[0].evidence == 12
    assert "by feedback worth 12 answers" in found.reasons[0]
