from dataclasses import replace
from time import thread_time
from typing import Any

import pytest

from vel_tutor_mcp.models import Decision, FailureKind, NanoUsd, Policy, TaskType
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import Features, features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, nano_usd, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide, output_limit
from vel_tutor_mcp.routing.priors import VALUE_USD
from vel_tutor_mcp.routing.reasons import money, no_candidate_sentence

NOW = 1_800_000_000.0
CATALOG = Catalog.load()
PRICES = Prices(CATALOG)
ALL = frozenset({"openai", "groq", "perplexity"})
LOCAL = {"provider": "local", "model": "llama3.2", "tier": "small", "context_window": 8192}


def asked(task_type: str, difficulty: float = 0.3) -> Features:
    seen = features("Please.", TaskType(task_type))
    return replace(seen, difficulty=difficulty)


REQUEST = RouteRequest(features=asked("general"), prompt_bytes=400, configured=ALL)


def decided(request: RouteRequest, health: Health | None = None, catalog: Catalog = CATALOG) -> Decision:
    return decide(request, catalog, Prices(catalog), health or Health(), NOW)


def names(decision: Decision) -> list[str]:
    return [candidate.name for candidate in decision.candidates]


def reason(decision: Decision, name: str) -> str:
    return next((out.reason for out in decision.excluded if f"{out.provider}/{out.model}" == name), "")


@pytest.mark.parametrize(
    ("policy", "task_type", "difficulty", "configured", "first"),
    [
        ("balanced", "reasoning", 0.6, ALL, "openai/gpt-6.1-terra"),
        ("balanced", "reasoning", 0.9, ALL, "openai/gpt-6.1-sol"),
        ("balanced", "reasoning", 0.5, {"openai", "groq"}, "openai/gpt-6.1-terra"),
        ("balanced", "code_generation", 0.35, ALL, "groq/openai/gpt-oss-120b"),
        ("balanced", "code_debug", 0.4, ALL, "groq/openai/gpt-oss-120b"),
        ("balanced", "research", 0.35, ALL, "perplexity/sonar"),
        ("balanced", "research", 0.35, {"openai", "groq"}, "groq/openai/gpt-oss-120b"),
        ("balanced", "general", 0.1, ALL, "groq/openai/gpt-oss-20b"),
        ("balanced", "general", 0.1, {"openai"}, "openai/gpt-4o-mini"),
        ("balanced", "summarization", 0.05, {"groq"}, "groq/openai/gpt-oss-20b"),
        ("balanced", "reasoning", 0.5, {"groq"}, "groq/openai/gpt-oss-120b"),
        ("quality", "code_generation", 0.35, ALL, "openai/gpt-6.1-sol"),
        ("quality", "research", 0.35, ALL, "perplexity/sonar-reasoning-pro"),
        ("cheapest", "general", 0.1, ALL, "groq/openai/gpt-oss-20b"),
        ("cheapest", "reasoning", 0.5, {"openai"}, "openai/gpt-4.1-mini"),
        ("cheapest", "reasoning", 0.8, {"openai"}, "openai/gpt-6.1-terra"),
        ("fastest", "general", 0.1, {"openai"}, "openai/gpt-4.1-mini"),
        ("fastest", "reasoning", 0.5, ALL, "groq/openai/gpt-oss-120b"),
        ("fixed", "code_generation", 0.35, ALL, "openai/gpt-6.1-terra"),
    ],
)
def test_the_first_candidate_is_the_one_the_policy_stands_for(
    policy: str, task_type: str, difficulty: float, configured: frozenset[str], first: str
) -> None:
    request = replace(
        REQUEST, policy=Policy(policy), features=asked(task_type, difficulty), configured=frozenset(configured)
    )
    assert names(decided(request))[0] == first


@pytest.mark.parametrize("policy", Policy)
def test_the_agents_preferred_model_goes_first_under_every_policy(policy: Policy) -> None:
    decision = decided(replace(REQUEST, policy=policy, model_preferences={TaskType.GENERAL: "gpt-4o"}))
    assert names(decision)[0] == "openai/gpt-4o"
    assert "preferred" in decision.reasons[0]


def test_a_retired_model_is_asked_only_where_it_is_named() -> None:
    mixtral = "groq/mixtral-8x7b-32768"
    assert "retired" in reason(decided(REQUEST), mixtral)
    assert names(decided(replace(REQUEST, model_preferences={TaskType.GENERAL: mixtral})))[0] == mixtral


@pytest.mark.parametrize("unfit", [{"configured": frozenset({"groq"})}, {"prompt_bytes": 600_000}])
def test_a_fixed_model_without_fallback_is_asked_or_nobody_is(unfit: dict[str, Any]) -> None:
    pinned = replace(REQUEST, policy=Policy.FIXED, fallback=False, model_preferences={TaskType.GENERAL: "gpt-4o"})
    assert names(decided(pinned)) == ["openai/gpt-4o"]
    decision = decided(replace(pinned, **unfit))
    assert names(decision) == []
    assert "only the model that is named may answer" in reason(decision, "groq/openai/gpt-oss-20b")
    assert "only the model" not in reason(decision, "openai/gpt-4o")


def test_a_preference_for_another_task_type_changes_nothing() -> None:
    assert decided(replace(REQUEST, model_preferences={TaskType.CREATIVE: "gpt-4o"})) == decided(REQUEST)


@pytest.mark.parametrize("policy", Policy)
def test_the_best_of_each_other_provider_follows_the_first(policy: Policy) -> None:
    decision = decided(replace(REQUEST, policy=policy))
    assert {candidate.provider for candidate in decision.candidates[:3]} == ALL
    assert len(decision.candidates) == 5


def test_the_rest_follow_by_utility() -> None:
    utilities = [candidate.utility for candidate in decided(REQUEST).candidates[3:]]
    assert utilities == sorted(utilities, reverse=True)


def test_without_fallback_there_is_one_candidate() -> None:
    assert names(decided(replace(REQUEST, fallback=False))) == names(decided(REQUEST))[:1]


@pytest.mark.parametrize(
    ("providers", "order"),
    [(("groq", "openai"), ["groq", "openai"]), (("openai", "groq"), ["openai", "groq"]), (("groq",), ["groq"])],
)
def test_the_fixed_policy_keeps_to_the_agents_order(providers: tuple[str, ...], order: list[str]) -> None:
    decision = decided(replace(REQUEST, policy=Policy.FIXED, providers=providers))
    assert [candidate.provider for candidate in decision.candidates][: len(order)] == order


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"providers": ("groq",)}, "openai/gpt-4o", "the agent allows: groq only"),
        ({"providers": ("groq", "openai")}, "perplexity/sonar", "the agent allows: groq, openai only"),
        ({"configured": {"openai"}}, "groq/openai/gpt-oss-20b", "no key: set GROQ_API_KEY"),
        ({"prompt_bytes": 600_000}, "openai/gpt-4o", "of about 150,000 tokens does not fit its window of 128,000"),
        ({"needs_json_schema": True}, "groq/qwen/qwen3.8-27b", "JSON Schema"),
        ({"available": NanoUsd(10**6)}, "perplexity/sonar", "its shortest answer could cost $0.013, of $0.001 left"),
        ({}, "groq/llama-3.1-70b-versatile", "retired"),
    ],
)
def test_a_model_that_cannot_take_the_task_is_left_out_in_words(change: dict[str, Any], name: str, words: str) -> None:
    decision = decided(replace(REQUEST, **change))
    assert words in reason(decision, name)
    assert name not in names(decision)
    assert names(decision)


def failing(line: str, model: str, times: int) -> Health:
    health = Health()
    for _ in range(times):
        health.record(line, model, FailureKind.TIMEOUT, NOW - 1)
    return health


@pytest.mark.parametrize(
    ("row", "change", "tokens", "asked_at_all"),
    [
        ({}, {}, 8192 - 256 - 64, True),
        ({}, {}, 8192 - 256 - 64 + 1, False),
        ({}, {"max_output_tokens": 10}, 8192 - 256 - 10, True),
        ({}, {"max_output_tokens": 10}, 8192 - 256 - 10 + 1, False),
        ({"max_output_tokens": 20}, {}, 8192 - 256 - 20, True),
        ({"max_output_tokens": 20}, {}, 8192 - 256 - 20 + 1, False),
        ({"capabilities": ["reasoning"]}, {}, 8192 - 256 - 512, True),
        ({"capabilities": ["reasoning"]}, {}, 8192 - 256 - 512 + 1, False),
    ],
)
def test_a_model_is_asked_where_the_prompt_and_the_shortest_answer_just_fit(
    row: dict[str, Any], change: dict[str, Any], tokens: int, asked_at_all: bool
) -> None:
    catalog = Catalog.load({"models": [LOCAL | row]})
    request = replace(REQUEST, configured=frozenset({"local"}), prompt_bytes=4 * tokens, **change)
    assert bool(names(decided(request, catalog=catalog))) is asked_at_all


def test_a_model_that_keeps_failing_is_left_out_until_its_circuit_closes() -> None:
    best = decided(REQUEST).candidates[0]
    decision = decided(REQUEST, failing(best.provider, best.model, 5))
    assert "circuit is open until 08:00:29 UTC" in reason(decision, best.name)
    assert best.name not in names(decision)


@pytest.mark.parametrize("times", [4, 5])
def test_calls_on_an_owners_own_line_say_nothing_of_the_line_of_others(times: int) -> None:
    best, on_line = decided(REQUEST).candidates[0], replace(REQUEST, lines={"openai": "o", "groq": "g"})
    health = failing("g", best.model, times)
    assert best.provider == "groq"
    assert decided(REQUEST, health) == decided(REQUEST)
    assert names(decided(on_line, health))[0] != best.name
    assert ("circuit is open" in reason(decided(on_line, health), best.name)) is (times == 5)


@pytest.mark.parametrize("policy", Policy)
def test_a_utility_is_what_the_answer_is_worth_less_its_cost_its_wait_and_its_risk(policy: Policy) -> None:
    health, weights = failing("perplexity", "sonar", 3), policy.weights
    decision = decided(replace(REQUEST, policy=policy, configured=frozenset({"perplexity"})), health)
    assert "perplexity/sonar" in names(decision)
    for candidate in decision.candidates:
        up = health.known(candidate.provider, candidate.model).p_up(NOW)
        worth = weights.value * VALUE_USD[TaskType.GENERAL] * candidate.p_ok * up
        cost = weights.cost * candidate.expected_cost_nanousd / 1e9
        wait = weights.latency * candidate.expected_latency_ms / 1000
        assert candidate.utility == pytest.approx(worth - cost - wait - weights.risk * (1 - up), abs=1e-9)
        assert candidate.p_up == round(up, 4)
        assert candidate.evidence == 0


def test_a_wait_for_a_rate_limit_is_part_of_the_expected_latency_of_that_model_alone() -> None:
    request = replace(REQUEST, configured=frozenset({"perplexity"}))
    usual, delayed = (
        {one.name: one.expected_latency_ms for one in decided(replace(request, delays=delays)).candidates}
        for delays in ({}, {"perplexity/sonar": 2.5})
    )
    assert delayed == usual | {"perplexity/sonar": usual["perplexity/sonar"] + 2500}


@pytest.mark.parametrize(
    ("provider", "order"),
    [
        ("openai", ["gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-sol", "gpt-4o", "gpt-5.6-luna"]),
        ("perplexity", ["sonar-reasoning-pro", "sonar-pro", "sonar"]),
    ],
)
def test_models_below_the_floor_come_last_the_likeliest_first(provider: str, order: list[str]) -> None:
    """The first of OpenAI's stands right at the floor, and is cheaper than the next two; of Perplexity's, none does."""
    hardest = replace(REQUEST, policy=Policy.CHEAPEST, features=asked("reasoning", 1.0))
    decision = decided(replace(hardest, configured=frozenset({provider})))
    assert [candidate.model for candidate in decision.candidates] == order


def test_a_model_that_often_fails_loses_its_place() -> None:
    health, best = Health(), decided(REQUEST).candidates[0]
    for place in range(4):
        health.record(best.provider, best.model, FailureKind.TIMEOUT, NOW - place)
    assert names(decided(REQUEST, health))[0] != best.name


@pytest.mark.parametrize(("allowed", "asked_at_all"), [(False, False), (True, True)])
def test_an_unpriced_model_is_asked_only_where_the_config_allows_it(allowed: bool, asked_at_all: bool) -> None:
    catalog = Catalog.load({"models": [{**LOCAL, "provider": "groq", "model": "new"}]})
    request = replace(REQUEST, allow_unpriced=allowed, model_preferences={TaskType.GENERAL: "new"})
    asked_ones = names(decided(request, catalog=catalog))
    assert ("groq/new" in asked_ones) is asked_at_all
    assert "groq/openai/gpt-oss-20b" in asked_ones


def test_a_local_model_costs_nothing_and_needs_no_budget() -> None:
    catalog = Catalog.load({"models": [LOCAL]})
    decision = decided(replace(REQUEST, configured=frozenset({"local"}), available=NanoUsd(0)), catalog=catalog)
    assert names(decision) == ["local/llama3.2"]
    assert decision.candidates[0].expected_cost_nanousd == 0


def test_a_preferred_model_that_is_left_out_is_explained() -> None:
    request = replace(REQUEST, configured=frozenset({"groq"}))
    for name, words in {"gpt-4o": "set OPENAI_API_KEY", "gpt-9": "not in the catalog"}.items():
        reasons = decided(replace(request, model_preferences={TaskType.GENERAL: name})).reasons
        assert words in reasons[1]
    unknown = decided(replace(request, model_preferences={TaskType.GENERAL: "gpt-9"})).excluded[0]
    assert (unknown.provider, unknown.model) == ("", "gpt-9")


def test_a_decision_says_what_it_was_made_for() -> None:
    request = replace(REQUEST, features=replace(asked("creative"), confidence=0.7), policy=Policy.QUALITY)
    decision = decided(request)
    assert (decision.task_type, decision.confidence, decision.policy) == (TaskType.CREATIVE, 0.7, Policy.QUALITY)


def test_a_decision_is_explained_with_numbers() -> None:
    assert decided(replace(REQUEST, features=asked("code_generation", 0.35))).reasons == (
        "groq/openai/gpt-oss-120b is the best balance of quality, cost and wait: 91% likely to be good enough",
        "The task type is code generation, as given; difficulty 0.3 of 1",
        (
            "It costs about $0.0011 instead of $0.018 with openai/gpt-6.1-sol (95%), and takes about 4.1 s instead of "
            "25.0 s"
        ),
        "If it fails, openai/gpt-4.1-mini is next",
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"configured": frozenset()},
            "No model can be asked; no provider has a key; set OPENAI_API_KEY or GROQ_API_KEY or PERPLEXITY_API_KEY.",
        ),
        (
            {"configured": frozenset(), "providers": ("groq",)},
            (
                "No model can take this task; openai/gpt-6.1-terra, openai/gpt-6.1-sol and 11 more: the agent allows: "
                "groq only; groq: no key: set GROQ_API_KEY; set the key or allow another provider."
            ),
        ),
        (
            {"configured": frozenset({"local"}), "providers": ("local",)},
            (
                "No model can take this task; openai/gpt-6.1-terra, openai/gpt-6.1-sol and 14 more: the agent allows: "
                "local only; local: its models are not known: it did not answer, or listed none, when this process "
                "started; start it, check that VEL_TUTOR_LOCAL_BASE_URL ends in /v1, then start this process again."
            ),
        ),
        (
            {"configured": frozenset({"local"}), "providers": ("groq",)},
            (
                "No model can take this task; openai/gpt-6.1-terra, openai/gpt-6.1-sol and 11 more: the agent allows: "
                "groq only; groq: no key: set GROQ_API_KEY; set the key or allow another provider."
            ),
        ),
    ],
)
def test_a_task_that_no_model_can_take_gets_one_helpful_sentence(change: dict[str, Any], sentence: str) -> None:
    decision = decided(replace(REQUEST, **change))
    assert not decision.candidates
    assert no_candidate_sentence(decision) == sentence


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        ({}, 4096),
        ({"max_output_tokens": 50}, 50),
        ({"max_output_tokens": 10**6}, 16_384),
        ({"prompt_bytes": 4 * 127_000}, 744),
        ({"prompt_bytes": 4 * 130_000}, 0),
        ({"available": nano_usd("0.010005")}, 836),
        ({"available": NanoUsd(0)}, 0),
    ],
)
def test_an_answer_is_as_long_as_agent_model_window_and_budget_allow(change: dict[str, Any], tokens: int) -> None:
    request = replace(REQUEST, **change)
    assert output_limit(CATALOG.find("gpt-4o"), request, PRICES) == tokens


def test_a_decision_is_the_same_every_time() -> None:
    assert decided(REQUEST) == decided(REQUEST)


@pytest.mark.parametrize(
    ("dollars", "shown"), [(0, "$0.00"), (0.000412, "$0.00041"), (0.5, "$0.50"), (12.345, "$12.35")]
)
def test_money_is_shown_to_two_digits(dollars: float, shown: str) -> None:
    assert money(dollars) == shown


def test_a_decision_takes_a_few_milliseconds_at_most() -> None:
    prompt = "Summarize why this function fails in 3 of 4 cases, please. " * 17
    seconds = []
    for _ in range(5):
        started = thread_time()  # without what others have of the processor
        decided(replace(REQUEST, features=features(prompt), prompt_bytes=prompt_bytes(prompt)))
        seconds.append(thread_time() - started)
    assert min(seconds) < 0.01


def test_the_default_of_the_task_type_is_not_left_for_a_hairs_breadth() -> None:
    typical, close, far = (
        decided(replace(REQUEST, features=asked("summarization", difficulty), configured=frozenset({"groq"})))
        for difficulty in (0.15, 0.1, 0.05)
    )
    assert names(close)[0] == names(typical)[0] != names(far)[0]
    assert close.candidates[1].utility > close.candidates[0].utility


def test_an_owners_weights_decide_for_the_models_they_know() -> None:
    request = replace(REQUEST, features=asked("reasoning", 0.5), configured=frozenset({"groq"}))
    learned = {"groq/openai/gpt-oss-120b": 0.2, "groq/openai/gpt-oss-20b": 0.95}
    assert names(decided(request))[0] == "groq/openai/gpt-oss-120b"
    assert names(decided(replace(request, learned=learned)))[0] == "groq/openai/gpt-oss-20b"
