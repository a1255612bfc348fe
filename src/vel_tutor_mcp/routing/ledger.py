"""Money, pure: what a call costs, what it is expected to cost, and what it can cost at most.

Prices come from genai-prices (dated and tiered) or from a user's own row. Results equal `genai_prices.calc_price`,
rounded up to whole nano-US-dollars; only the linear rates are kept, because `calc_price` takes some 90 us a call.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, NamedTuple

from vel_tutor_mcp.models import NANO_PER_USD, NanoUsd
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

# Rates are whole numbers of 1e-12 US dollars per million tokens, so that sums are exact.
RATE_SCALE = 10**12
RATE_PER_NANO = RATE_SCALE * 10**6 // NANO_PER_USD

# What a chat template and a vendor's own preamble may add to the messages (gpt-oss: some 80 tokens, Llama: some 40).
OVERHEAD_TOKENS = 256

# Hidden reasoning is billed as output: reasoning models are expected to produce this many times the visible answer.
REASONING_FACTOR = 2

# Of English text, for what is expected; what is reserved takes each byte for a token.
BYTES_PER_TOKEN = 4


def nano_usd(usd: float | Decimal | str) -> NanoUsd:
    """Whole nano-US-dollars for an amount in US dollars; what is less than one counts as one."""
    return NanoUsd(int((Decimal(str(usd)) * NANO_PER_USD).to_integral_value(ROUND_CEILING)))


def usd(nano: NanoUsd) -> float:
    """US dollars, to be shown; never to be summed."""
    return nano / NANO_PER_USD


def prompt_bytes(*texts: str) -> int:
    """UTF-8 bytes of all that is sent, in the longer of two spellings (some tokenizers normalise to NFC first).

    A JSON Schema is part of what is sent; pass its text twice, as vendors may lay it out less densely than we do.
    """
    return sum(map(_utf8_bytes, texts))


def _utf8_bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    return max(len(form.encode("utf-8", "replace")) for form in (text, unicodedata.normalize("NFC", text)))


def estimated_tokens(size: int) -> int:
    """Expected tokens of a text of that many UTF-8 bytes (or ASCII characters)."""
    return -(-size // BYTES_PER_TOKEN)


Steps = tuple[tuple[int, int], ...]


class Rates(NamedTuple):
    """Linear prices of one model. Each is ((more input tokens than, rate), ...), the highest threshold first."""

    input: Steps
    cached: Steps | None
    written: Steps | None
    output: Steps
    request: int


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a call can cost, as a line: `fixed` + `per_output_token` x output tokens, in scaled rates."""

    fixed: int
    per_output_token: int

    def cost(self, tokens_out: int) -> NanoUsd:
        return _nano(self.fixed + self.per_output_token * tokens_out)

    def tokens_within(self, available: NanoUsd, wanted: int) -> int:
        left = available * RATE_PER_NANO - self.fixed
        if left < 0:
            return 0
        return wanted if not self.per_output_token else min(wanted, left // self.per_output_token)


class Prices:
    """What calls cost. `clock` (aware UTC) picks among dated prices where no time is given."""

    def __init__(self, catalog: Catalog, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._catalog = catalog
        self._clock = clock
        self._sources: dict[tuple[str, str], Rates | ModelInfo | None] = {}
        self._rates: dict[int, tuple[ModelPrice, Rates | None]] = {}
        self._asked_of: tuple[Catalog, bool] | None = None

    def load(self) -> None:
        """Read the prices of all models now (a third of a second), so that no decision has to wait for that."""
        for row in self._catalog.models:
            self._rates_of(row, None)

    def has_all(self, catalog: Catalog) -> bool:
        """Whether all models of the catalog have a price, whatever the time. The answer is kept for the last one."""
        if self._asked_of is None or self._asked_of[0] is not catalog:
            self._asked_of = catalog, all(None not in self._rates_at_any_time(row) for row in catalog.models)
        return self._asked_of[1]

    def has(self, row: ModelRow) -> bool:
        """Whether there is a price."""
        return self._rates_of(row, None) is not None

    def cost(
        self,
        row: ModelRow,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int = 0,
        *,
        tokens_written: int = 0,
        at: datetime | None = None,
    ) -> NanoUsd | None:
        """What a call cost that used these tokens; None where no price is known.

        `tokens_cached` and `tokens_written` (read from and written to the vendor's cache) are parts of `tokens_in`.
        """
        rates = self._rates_of(row, at)
        if rates is None:
            return None
        if not tokens_cached and not tokens_written:
            plain = _step(rates.input, tokens_in) * tokens_in + _step(rates.output, tokens_in) * tokens_out
            return _nano(plain + rates.request)
        cached = min(tokens_cached, tokens_in) if rates.cached else 0
        written = min(tokens_written, tokens_in - cached) if rates.written else 0
        total = _step(rates.input, tokens_in) * (tokens_in - cached - written) + rates.request
        total += _step(rates.output, tokens_in) * tokens_out
        total += _step(rates.cached, tokens_in) * cached if rates.cached else 0
        total += _step(rates.written, tokens_in) * written if rates.written else 0
        return _nano(total)

    def cost_of_all(self, row: ModelRow, calls: int, tokens_in: int, tokens_out: int) -> NanoUsd | None:
        """What so many calls cost that used these tokens together; None where no price is known.

        Where long prompts have a price of their own, all are taken to be as long as the mean one.
        """
        rates = self._rates_of(row, None)
        if rates is None:
            return None
        mean = tokens_in // calls if calls else 0
        total = _step(rates.input, mean) * tokens_in + _step(rates.output, mean) * tokens_out
        return _nano(total + rates.request * calls)

    def worst_case(
        self, row: ModelRow, prompt_bytes: int, max_output_tokens: int, *, at: datetime | None = None
    ) -> NanoUsd | None:
        """The most that a call can cost; None where no price is known.

        Provable: the tokenizers in use are byte-level BPE, each token covers at least one byte, so there are at most
        `prompt_bytes` + `OVERHEAD_TOKENS` input tokens; each is taken at the dearest rate that so many can reach.
        """
        bound = self._bound(row, prompt_bytes, at)
        return None if bound is None else bound.cost(max_output_tokens)

    def affordable_output_tokens(
        self, row: ModelRow, prompt_bytes: int, wanted: int, available: NanoUsd, *, at: datetime | None = None
    ) -> int:
        """The largest number of output tokens, at most `wanted`, whose worst case is within `available`; 0 where none.

        Where no price is known it is `wanted`: such calls count as 0, and the config decides whether they are made.
        """
        bound = self._bound(row, prompt_bytes, at)
        return wanted if bound is None else bound.tokens_within(available, wanted)

    def _bound(self, row: ModelRow, prompt_bytes: int, at: datetime | None) -> Bound | None:
        rates = self._rates_of(row, at)
        if rates is None:
            return None
        most = prompt_bytes + OVERHEAD_TOKENS
        dearest = max(_dearest(steps, most) for steps in (rates.input, rates.cached, rates.written) if steps)
        return Bound(dearest * most + rates.request, _dearest(rates.output, most))

    def _rates_at_any_time(self, row: ModelRow) -> list[Rates | None]:
        self._rates_of(row, None)
        source = self._sources[row.provider, row.model]
        if source is None or isinstance(source, Rates):
            return [source]
        dated = source.prices
        return [_rates(one.prices) for one in dated] if isinstance(dated, list) else [_rates(dated)]

    def _rates_of(self, row: ModelRow, at: datetime | None) -> Rates | None:
        key = row.provider, row.model
        try:
            # Not `get`: None says that there is no price, and is kept as well.
            source = self._sources[key]
        except KeyError:
            source = self._sources[key] = self._source(row)
        if source is None or isinstance(source, Rates):
            return source
        price = source.get_prices(at or self._clock())
        # By identity, which is quick, and kept with the price itself: an id is an object's only as long as that lives.
        kept = self._rates.get(id(price))
        if kept is None:
            kept = self._rates[id(price)] = price, _rates(price)
        return kept[1]

    def _source(self, row: ModelRow) -> "Rates | ModelInfo | None":
        provider = self._catalog.providers[row.provider].price_provider
        if row.price:
            return _own_rates(row.price.input_usd_per_mtok, row.price.output_usd_per_mtok, row.price.request_usd)
        if provider is None:
            return _own_rates(Decimal(0), Decimal(0), Decimal(0)) if row.provider == "local" else None
        from genai_prices.data_snapshot import get_snapshot
        from genai_prices.types import ModelPrice

        try:
            model = get_snapshot().find_provider_model(row.model, None, provider, None)[1]
        except LookupError:
            return None
        return _rates(model.prices) if isinstance(model.prices, ModelPrice) else model


def expected_output(row: ModelRow, tokens_out: int) -> int:
    """Billed tokens expected for a visible answer of `tokens_out` tokens, hidden reasoning included."""
    return tokens_out * REASONING_FACTOR if "reasoning" in row.capabilities else tokens_out


def _rates(price: "ModelPrice") -> Rates | None:
    if price.input_mtok is None or price.output_mtok is None:
        return None
    return Rates(
        _steps(price.input_mtok),
        None if price.cache_read_mtok is None else _steps(price.cache_read_mtok),
        None if price.cache_write_mtok is None else _steps(price.cache_write_mtok),
        _steps(price.output_mtok),
        # That price is of a thousand requests, and rates are per million: hence times a thousand.
        0 if price.requests_kcount is None else _steps(price.requests_kcount)[-1][1] * 1000,
    )


def _own_rates(input_price: Decimal, output_price: Decimal, request: Decimal) -> Rates:
    return Rates(_steps(input_price), None, None, _steps(output_price), _scaled(request * 10**6))


def _steps(price: "Decimal | TieredPrices") -> Steps:
    if isinstance(price, Decimal):
        return ((-1, _scaled(price)),)
    return *((tier.start, _scaled(tier.price)) for tier in reversed(price.tiers)), (-1, _scaled(price.base))


def _scaled(usd_per_mtok: Decimal) -> int:
    return int((usd_per_mtok * RATE_SCALE).to_integral_value(ROUND_CEILING))


def _step(steps: Steps, tokens_in: int) -> int:
    for start, rate in steps:
        if tokens_in > start:
            return rate
    return 0


def _dearest(steps: Steps, most: int) -> int:
    return max(rate for start, rate in steps if most > start)


def _nano(scaled: int) -> NanoUsd:
    return NanoUsd(-(-scaled // RATE_PER_NANO))
