"""A comparison before and after its tasks: places by chance, shares of one limit, and how it stands."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import NanoUsd, TaskStatus
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.ledger import Prices, nano_usd
from vel_tutor_mcp.routing.policy import RouteRequest, output_limit
from vel_tutor_mcp.services.comparisons.comparing import _shuffled
from vel_tutor_mcp.services.comparisons.fitting import shares
from vel_tutor_mcp.services.comparisons.told import standing

CATALOG = Catalog.load()
PRICES = Prices(CATALOG)
MINI, LARGE, OSS = map(CATALOG.find, ("openai/gpt-4o-mini", "openai/gpt-4o", "groq/openai/gpt-oss-20b"))
ROUTE = RouteRequest(features=features("Say hello"), prompt_bytes=400, configured=frozenset({"openai", "groq"}))


def test_chance_alone_says_where_a_model_stands() -> None:
    orders = Counter(
        tuple(place.model for place in sorted(_shuffled((MINI, LARGE, OSS), "abc"), key=lambda place: place.position))
        for _ in range(600)
    )
    assert orders.keys() == set(permutations((MINI.model, LARGE.model, OSS.model)))
    assert min(orders.values()) > 50  # 100 are expected of each, and by chance fewer than 50 never


def test_a_models_task_goes_with_it_to_its_place() -> None:
    found = {(place.model, place.task_id, place.number) for place in _shuffled((MINI, OSS), ("of mini", "of oss"))}
    assert found == {(MINI.model, "of mini", 0), (OSS.model, "of oss", 1)}


@given(st.integers(1_000, 10**15))
def test_shares_are_together_within_the_limit_and_leave_nothing_of_it(limit: int) -> None:
    given_to = shares((MINI, LARGE, OSS), ROUTE, limit / 10**9, PRICES)
    assert nano_usd(limit / 10**9) - 3 < sum(share or 0 for share in given_to) <= nano_usd(limit / 10**9)


def test_with_its_share_each_model_may_answer_as_long_as_the_others() -> None:
    given_to = shares((MINI, LARGE), ROUTE, 0.01, PRICES)
    room = [
        PRICES.affordable_output_tokens(row, ROUTE.prompt_bytes, 4096, share or NanoUsd(0))
        for row, share in zip((MINI, LARGE), given_to, strict=True)
    ]
    assert output_limit(MINI, ROUTE, PRICES) == output_limit(LARGE, ROUTE, PRICES)
    assert abs(room[0] - room[1]) <= 1 < room[0] < 4096


def test_without_a_limit_and_for_what_costs_nothing_there_is_none() -> None:
    free = CATALOG.with_found("local", ["llama"]).find("local/llama")
    assert shares((MINI, OSS), ROUTE, None, PRICES) == [None, None]
    assert shares((MINI, free), ROUTE, 0.5, PRICES) == [500_000_000, None]


COMPLETED, FAILED, CANCELLED, WAITS = (TaskStatus(word) for word in ("completed", "failed", "cancelled", "pending"))


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ((COMPLETED, COMPLETED), COMPLETED),
        ((COMPLETED, WAITS), TaskStatus.IN_PROGRESS),
        ((FAILED, COMPLETED, CANCELLED), COMPLETED),
        ((CANCELLED, FAILED), FAILED),
        ((CANCELLED, CANCELLED), CANCELLED),
    ],
)
def test_how_a_comparison_stands_follows_from_its_tasks(statuses: tuple[TaskStatus, ...], status: TaskStatus) -> None:
    assert standing(statuses) is status
