"""How the providers and their models are doing, as users see it. (Pure.)"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.health import Breaker, Health, Record
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.services.reports import moment

# Of which answer the latency is told.
TOKENS_OUT = 500


@dataclass(frozen=True, slots=True)
class Doing:
    """What is known of the models now: by this process, and in `stored` by all, of breakers alone.

    `lines` are an owner's own, by provider; what is stored is of the installation's.
    """

    health: Health
    stored: Mapping[tuple[str, str], Breaker]
    lines: Mapping[str, str]
    now: float

    def of(self, row: ModelRow) -> Record:
        known = self.health.known(self.lines.get(row.provider, row.provider), row.model)
        elsewhere = None if row.provider in self.lines else self.stored.get((row.provider, row.model))
        if elsewhere is None or elsewhere.opened_at is None or known.breaker.opened_at is not None:
            return known
        return replace(known, breaker=elsewhere)


def shown_providers(catalog: Catalog, prices: Prices, configured: frozenset[str], doing: Doing) -> list[dict[str, Any]]:
    """Every provider with its models, in the order of the catalog; `configured` are those that can be asked."""
    return [
        {
            "provider": name,
            "configured": name in configured,
            "models": [_shown_model(row, prices, doing) for row in catalog.models if row.provider == name],
        }
        for name in catalog.providers
    ]


def _shown_model(row: ModelRow, prices: Prices, doing: Doing) -> dict[str, Any]:
    known = doing.of(row)
    return {
        "model": row.model,
        "tier": row.tier,
        "retired": row.retired,
        "priced": prices.cost(row, 1, 1) is not None,
        "breaker": _shown_breaker(known.breaker, doing.now),
        "p_up": round(known.p_up(doing.now), 4),
        "latency_ms": known.total_ms(row, TOKENS_OUT, doing.now),
    }


def _shown_breaker(breaker: Breaker, now: float) -> dict[str, Any]:
    return {
        "state": breaker.state(now).value,
        "failures": breaker.recent(now),
        "opened_at": _moment(breaker.opened_at),
        "retry_at": _moment(breaker.open_until(now)),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else moment(datetime.fromtimestamp(seconds, UTC))
