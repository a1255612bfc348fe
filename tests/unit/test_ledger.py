from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import NanoUsd
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.ledger import (
    OVERHEAD_TOKENS,
    Prices,
    estimated_tokens,
    expected_output,
    nano_usd,
    prompt_bytes,
    usd,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CATALOG = Catalog.load()
PRICES = Prices(CATALOG, clock=lambda: NOW)
PRICED = [row for row in CATALOG.models if CATALOG.provider(row.provider).price_provider]

rows = st.sampled_from(PRICED)
tokens = st.integers(0, 1_100_000) | st.sampled_from([0, 271_999, 272_000, 272_001])
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
budgets = (st.integers(0, 10**9) | st.integers(0, 10**12)).map(NanoUsd)


def priced(**row: object) -> tuple[Prices, ModelRow]:
    fields = {"provider": "local", "model": "m", "tier": "small", "context_window": 8192, **row}
    catalog = Catalog.load({"providers": {"other": {"base_url": "http://x"}}, "models": [fields]})
    return Prices(catalog), catalog.find("m")


@given(rows, tokens, tokens, st.floats(0, 1), moments)
def test_a_cost_is_that_of_genai_prices_rounded_up(
    row: ModelRow, tokens_in: int, tokens_out: int, share: float, at: datetime
) -> None:
    cached = int(tokens_in * share)
    used = Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=cached)
    price_provider = CATALOG.provider(row.provider).price_provider
    exact = calc_price(used, row.model, provider_id=price_provider, genai_request_timestamp=at).total_price
    assert PRICES.cost(row, tokens_in, tokens_out, cached, at=at) == nano_usd(exact)


@given(tokens, tokens)
def test_tokens_written_to_a_cache_cost_what_genai_prices_says(tokens_in: int, written: int) -> None:
    written = min(written, tokens_in)
    used = Usage(input_tokens=tokens_in, cache_write_tokens=written)
    exact = calc_price(used, "gpt-6.1-sol", provider_id="openai", genai_request_timestamp=NOW).total_price
    assert PRICES.cost(CATALOG.find("gpt-6.1-sol"), tokens_in, 0, tokens_written=written) == nano_usd(exact)


def test_tokens_of_a_cache_cost_what_all_others_cost_where_it_has_no_price() -> None:
    prices, model = priced(price={"input_usd_per_mtok": 1, "output_usd_per_mtok": 2})
    plain = prices.cost(model, 10, 0)
    assert [prices.cost(model, 10, 0, cached, tokens_written=10 - cached) for cached in (0, 4, 10)] == [plain] * 3


def test_no_token_is_both_read_from_a_cache_and_written_to_it() -> None:
    sol = CATALOG.find("gpt-6.1-sol")
    assert PRICES.cost(sol, 100, 0, 80, tokens_written=100) == PRICES.cost(sol, 100, 0, 80, tokens_written=20)
    assert PRICES.cost(sol, 100, 0, 300) == PRICES.cost(sol, 100, 0, 100)


@given(rows, st.text(max_size=200), st.integers(0, 5000), st.data())
def test_no_call_costs_more_than_its_worst_case(row: ModelRow, text: str, most: int, data: st.DataObject) -> None:
    size = prompt_bytes(text) * data.draw(st.sampled_from([1, 5000]))
    tokens_in = data.draw(st.integers(0, size + OVERHEAD_TOKENS))
    written = data.draw(st.integers(0, tokens_in))
    cost = PRICES.cost(row, tokens_in, data.draw(st.integers(0, most)), tokens_in - written, tokens_written=written)
    worst = PRICES.worst_case(row, size, most)
    assert cost is not None
    assert worst is not None
    assert cost <= worst


@given(rows, st.integers(0, 400_000), st.integers(0, 200_000), budgets)
def test_the_affordable_answer_is_the_longest_one_within_the_budget(
    row: ModelRow, size: int, wanted: int, available: NanoUsd
) -> None:
    length = PRICES.affordable_output_tokens(row, size, wanted, available)
    assert 0 <= length <= wanted
    assert isinstance(length, int)
    assert length == 0 or (PRICES.worst_case(row, size, length) or 0) <= available
    assert length == wanted or (PRICES.worst_case(row, size, length + 1) or 0) > available


def test_a_prompt_over_a_tier_makes_every_token_dearer() -> None:
    sol = CATALOG.find("gpt-6.1-sol")
    assert PRICES.cost(sol, 272_000, 0) == nano_usd("0.544")
    assert PRICES.cost(sol, 272_001, 0) == nano_usd("1.088004")


def test_a_request_fee_is_part_of_the_cost_and_of_its_bound() -> None:
    sonar = CATALOG.find("sonar")
    assert PRICES.cost(sonar, 0, 0) == nano_usd("0.012")
    assert PRICES.affordable_output_tokens(sonar, 0, 100, nano_usd("0.012")) == 0


def test_a_price_changes_on_its_date() -> None:
    luna = CATALOG.find("gpt-5.6-luna")
    before, after = (PRICES.cost(luna, 10**5, 0, at=datetime(2026, 7, day, tzinfo=UTC)) for day in (29, 30))
    assert (before, after) == (nano_usd("0.1"), nano_usd("0.02"))


def test_what_a_call_can_cost_changes_on_that_date_too() -> None:
    luna = CATALOG.find("gpt-5.6-luna")
    before, after = (datetime(2026, 7, day, tzinfo=UTC) for day in (29, 30))
    assert (PRICES.worst_case(luna, 10**5, 0, at=before) or 0) > (PRICES.worst_case(luna, 10**5, 0, at=after) or 0)
    lengths = [PRICES.affordable_output_tokens(luna, 1000, 10**6, nano_usd("0.01"), at=at) for at in (before, after)]
    assert 0 < lengths[0] < lengths[1]


@pytest.mark.parametrize(
    ("model", "calls", "tokens_in", "cost"),
    [
        ("sonar", 3, 0, "0.036"),
        ("sonar", 0, 0, "0"),
        ("gpt-6.1-sol", 2, 2 * 272_000, "1.088"),
        ("gpt-6.1-sol", 2, 2 * 272_000 + 1, "1.088002"),
        ("gpt-6.1-sol", 2, 2 * 272_001, "2.176008"),
    ],
)
def test_calls_together_cost_what_each_costs(model: str, calls: int, tokens_in: int, cost: str) -> None:
    row = CATALOG.find(model)
    assert PRICES.cost_of_all(row, calls, tokens_in, 0) == nano_usd(cost)


@given(rows, st.integers(1, 9), st.integers(0, 300_000), st.integers(0, 10**6))
def test_calls_that_are_alike_cost_so_many_times_as_much(row: ModelRow, calls: int, read: int, written: int) -> None:
    together = PRICES.cost_of_all(row, calls, calls * read, calls * written)
    each = PRICES.cost(row, read, written)
    assert together is not None
    assert each is not None
    assert calls * (each - 1) < together <= calls * each or each == together == 0


def test_all_prices_are_looked_up_beforehand() -> None:
    prices = Prices(CATALOG)
    prices.load()
    assert prices._sources.keys() == {(row.provider, row.model) for row in CATALOG.models}


def test_prices_are_there_for_all_models_only_where_none_lacks_one() -> None:
    prices, row = priced(provider="other")
    lacking = prices._catalog
    assert row in lacking.models
    assert [prices.has_all(catalog) for catalog in (lacking, lacking, CATALOG, CATALOG, lacking)] == [
        False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "cost"),
    [
        ({}, 0),
        ({"provider": "other"}, None),
        ({"provider": "openai"}, None),
        ({"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "request_usd": "0.5"}}, 500_050_000),
        ({"price": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0}}, 1_000),
    ],
)
def test_a_users_price_comes_first_and_local_models_are_free(row: dict[str, object], cost: int | None) -> None:
    prices, model = priced(**row)
    assert prices.cost(model, 10, 20) == cost


def test_an_unpriced_model_counts_as_nothing() -> None:
    prices, model = priced(provider="other")
    assert prices.worst_case(model, 100, 100) is None
    assert prices.affordable_output_tokens(model, 100, 77, NanoUsd(0)) == 77
    assert prices.cost_of_all(model, 3, 100, 100) is None


@pytest.mark.parametrize(("available", "length"), [(0, 0), (255_999, 0), (256_000, 77), (256_001, 77)])
def test_an_answer_that_costs_nothing_is_as_long_as_is_wanted_where_the_prompt_is_paid(
    available: int, length: int
) -> None:
    prices, model = priced(price={"input_usd_per_mtok": 1, "output_usd_per_mtok": 0})
    assert prices.affordable_output_tokens(model, 0, 77, NanoUsd(available)) == length


def test_hidden_reasoning_is_expected_to_be_billed() -> None:
    thinking, plain = CATALOG.find("openai/gpt-oss-20b"), CATALOG.find("gpt-4o-mini")
    assert (expected_output(thinking, 100), expected_output(plain, 100)) == (200, 100)


@given(st.decimals(0, 10**6, places=9))
def test_dollars_become_nano_dollars_exactly(amount: Decimal) -> None:
    assert nano_usd(amount) == nano_usd(str(amount)) == int((amount * 10**9).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(("dollars", "nano"), [(0.1, 10**8), ("0.0000000001", 1), (0, 0), (19.99, 19_990_000_000)])
def test_an_amount_keeps_its_decimal_meaning(dollars: float | str, nano: int) -> None:
    assert nano_usd(dollars) == nano
    assert usd(NanoUsd(nano)) == pytest.approx(float(dollars), abs=1e-9)


@pytest.mark.parametrize(
    ("texts", "size"), [(("abc", "de"), 5), (("äöü",), 6), (("\u1e9b\u0323",), 5), (("\ufb2c",), 6), ((), 0)]
)
def test_a_prompt_is_measured_in_its_longest_spelling(texts: tuple[str, ...], size: int) -> None:
    assert prompt_bytes(*texts) == size


def test_four_bytes_are_taken_for_a_token() -> None:
    assert [estimated_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
