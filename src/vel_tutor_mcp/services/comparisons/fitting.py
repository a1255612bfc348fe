"""Which models are to be compared, whether each can be asked, and what each may cost. (Pure.)"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Decision, NanoUsd, Policy, TaskRequest
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.ledger import Prices, nano_usd, usd
from vel_tutor_mcp.routing.policy import RouteRequest, output_limit
from vel_tutor_mcp.services.comparisons.request import FEWEST_MODELS, MOST_MODELS
from vel_tutor_mcp.services.inputs import asked_first
from vel_tutor_mcp.services.routes import least


def named(names: Sequence[str], catalog: Catalog) -> list[ModelRow]:
    """The models of these names.

    Raises:
        InputError: there are too few or too many, or one is not in the catalog or there twice.
    """
    if not FEWEST_MODELS <= len(names) <= MOST_MODELS:
        raise InputError(
            f"There are {len(names)} models; a comparison is of {FEWEST_MODELS} to {MOST_MODELS}; name so many."
        )
    found: list[ModelRow] = []
    for number, name in enumerate(names, 1):
        try:
            row = catalog.find(name)
        except InputError as problem:
            raise InputError(f"Model {number} of {len(names)}: {problem}") from None
        if row in found:
            raise InputError(f"The model {row.name} is named twice; each answers once; name it once.")
        found.append(row)
    return found


def shares(
    models: Sequence[ModelRow], route: RouteRequest, limit_usd: float | None, prices: Prices
) -> list[NanoUsd | None]:
    """What each model may spend, that all together stay within the limit: by what its call can cost at most.

    So each may answer about as long as the others. None is no limit, as of what costs nothing.
    """
    if limit_usd is None:
        return [None] * len(models)
    limit = nano_usd(limit_usd)
    worst = [_worst(row, route, prices) for row in models]
    return [NanoUsd(limit * cost // sum(worst)) if cost else None for cost in worst]


def refuse_unfit(
    models: Sequence[ModelRow],
    limits: Sequence[NanoUsd | None],
    route: RouteRequest,
    decide: Callable[[RouteRequest], Decision],
) -> None:
    """Refuse where not every model could be asked now.

    Raises:
        InputError: names each that cannot, and why.
    """
    unfit = [
        f"{row.name}: {why}"
        for row, limit in zip(models, limits, strict=True)
        if (why := _obstacle(row, limit, route, decide))
    ]
    if unfit:
        raise InputError(
            f"Not every model can be asked; {'; '.join(unfit)}; leave them out, or remove what is in the way."
        )


def only(request: TaskRequest, row: ModelRow, limit: NanoUsd | None) -> TaskRequest:
    """The request, for this model and no other."""
    return replace(
        request,
        max_cost_usd=None if limit is None else usd(limit),
        # The key is the comparison's; its tasks would all have the same one.
        idempotency_key=None,
        config=asked_first(row.name) | {"fallback": False},
    )


def _worst(row: ModelRow, route: RouteRequest, prices: Prices) -> NanoUsd:
    longest = output_limit(row, replace(route, available=None), prices)
    return prices.worst_case(row, route.prompt_bytes, longest) or NanoUsd(0)


def _obstacle(
    row: ModelRow, limit: NanoUsd | None, route: RouteRequest, decide: Callable[[RouteRequest], Decision]
) -> str | None:
    decision = decide(
        replace(
            route,
            policy=Policy.FIXED,
            fallback=False,
            model_preferences={route.features.task_type: row.name},
            available=least(route.available, limit),
        )
    )
    if decision.candidates:
        return None
    return next(out.reason for out in decision.excluded if (out.provider, out.model) == (row.provider, row.model))
