"""What of a prompt a provider has read lately, and what a decision makes of it."""

from dataclasses import replace

import pytest

from vel_tutor_mcp.models import Decision, Policy, TaskType
from vel_tutor_mcp.providers.base import ChatRequest, Timeouts
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, estimated_tokens, expected_output
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.warmth import SECONDS, Warmth, beginnings

NOW = 1_800_000_000.0
SYSTEM = "You answer for the archive. " * 400  # 11,200 characters: about 2,800 tokens
TIMES = Timeouts(connect=1, first_token=1, between_tokens=1, total=1)
CATALOG = Catalog.load()
PRICES = Prices(CATALOG)


def request(system: str, prompt: str) -> ChatRequest:
    return ChatRequest(model="m", system=system, prompt=prompt, max_output_tokens=1, timeouts=TIMES)


@pytest.mark.parametrize(
    ("system", "prompt", "after", "cached"),
    [
        (SYSTEM, "And who wrote it?", 10, 2560),
        (SYSTEM, "When was this written?" + "x" * 9000, 10, 4608),
        (SYSTEM, "And who wrote it?", SECONDS + 1, 0),
        (SYSTEM[:5000], "And who wrote it?", 10, 1024),
        (SYSTEM[:4000], "And who wrote it?", 10, 0),
        ("Not this. " + SYSTEM, "When was this written?", 10, 0),
        ("", "When was this written?", 10, 0),
    ],
)
def test_a_beginning_is_warm_for_as_long_as_the_same_was_read_lately(
    system: str, prompt: str, after: float, cached: int
) -> None:
    warmth = Warmth()
    warmth.sent("openai/gpt-4o", request(SYSTEM, "When was this written?" + "x" * 9000), NOW)

    found = warmth.cached(beginnings(system, prompt), NOW + after)

    assert found == ({"openai/gpt-4o": cached} if cached else {})


def test_only_so_many_beginnings_are_remembered() -> None:
    warmth = Warmth()
    for number in range(300):
        warmth.sent("openai/gpt-4o", request(f"{number} " + "x" * 200_000, ""), NOW)

    assert warmth.cached(beginnings("0 " + "x" * 200_000, ""), NOW) == {}
    assert warmth.cached(beginnings("299 " + "x" * 200_000, ""), NOW) == {"openai/gpt-4o": 49_664}


ASKED = RouteRequest(
    features=replace(features("Please.", TaskType.GENERAL), tokens_out=20),
    prompt_bytes=200_000,
    configured=frozenset({"openai"}),
    policy=Policy.CHEAPEST,
)


def decided(**changes: object) -> Decision:
    return decide(replace(ASKED, **changes), CATALOG, PRICES, Health(), NOW)  # type: ignore[arg-type]


def test_the_choice_stays_with_the_warm_model_exactly_where_a_switch_is_dearer() -> None:
    cold = decided()
    first, runner_up = cold.candidates[:2]
    row = CATALOG.find(runner_up.name)
    read, billed = estimated_tokens(ASKED.prompt_bytes), expected_output(row, 20)
    price = {tokens: PRICES.cost(row, read, billed, tokens) for tokens in range(0, 50_001, 2000)}

    for tokens, cost in price.items():
        assert cost is not None
        chosen = decided(warm={runner_up.name: tokens})
        assert (chosen.candidates[0].name == runner_up.name) == (cost < first.expected_cost_nanousd)
    assert "has read about 50,000 tokens of this lately" in " ".join(decided(warm={first.name: 50_000}).reasons)
    assert "lately" not in " ".join(cold.reasons)


@pytest.mark.parametrize("price", [None, {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}])
def test_nothing_is_said_of_what_was_read_where_it_saves_nothing(price: object) -> None:
    row = {"provider": "local", "model": "m", "tier": "small", "context_window": 10**6, "price": price}
    catalog = Catalog.load({"models": [row]})
    request = replace(ASKED, configured=frozenset({"local"}), warm={"local/m": 50_000})
    decision = decide(request, catalog, Prices(catalog), Health(), NOW)

    assert decision.candidates[0].name == "local/m"
    assert "lately" not in " ".join(decision.reasons)


def test_a_long_wait_for_a_rate_limit_makes_another_model_the_first() -> None:
    fastest = decided(policy=Policy.FASTEST)
    first, then = fastest.candidates[:2]
    delayed = decided(policy=Policy.FASTEST, delays={first.name: 45.0})

    assert delayed.candidates[0].name == then.name
    assert f"The rate limit of {first.name} takes no call for 45 s" in delayed.reasons


@pytest.mark.parametrize(("seconds", "waited_for"), [(60.0, True), (60.5, False)])
def test_a_model_is_waited_for_at_most_a_minute(seconds: float, waited_for: bool) -> None:
    first = decided().candidates[0]
    names = [candidate.name for candidate in decided(delays={first.name: seconds}).candidates]
    assert (first.name in names) is waited_for


def test_a_model_whose_rate_limit_is_used_up_for_long_is_left_out_until_then() -> None:
    first = decided().candidates[0]
    without = decided(delays={first.name: 7200.0})

    (excluded,) = [out for out in without.excluded if f"{out.provider}/{out.model}" == first.name]
    assert excluded.reason == "its rate limit is used up until 10:00:00 UTC"
    assert first.name not in [candidate.name for candidate in without.candidates]
