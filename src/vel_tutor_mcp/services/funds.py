"""The money that a call may take: read where it is reserved for, told where there is too little, warned of where much
of it is spent.
"""

from dataclasses import replace
from datetime import datetime

from vel_tutor_mcp.models import Candidate, Decision, NanoUsd, Task
from vel_tutor_mcp.routing.book import MoneyHeld
from vel_tutor_mcp.routing.ledger import nano_usd, usd
from vel_tutor_mcp.routing.policy import RouteRequest
from vel_tutor_mcp.routing.reasons import OVER_BUDGET, money
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.alerts import marks
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.webhooks import outbox
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import agents, budgets
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.standing import EXCEEDED_PERCENT, Budget, Period, Scope, Standing, available, renews, tightest

_WHOSE = {"task": "this task", "run": "its run", "agent": "its agent", "user": "its user"}
_EACH = {Period.DAY: " a day (UTC)", Period.MONTH: " a month (UTC)"}


def of_day(settings: Settings) -> NanoUsd | None:
    """The installation's own limit for a day of its organisation."""
    return None if settings.budget_usd_day is None else nano_usd(settings.budget_usd_day)


async def standings(tx: Transaction, payer: Payer, settings: Settings, at: datetime) -> list[Standing]:
    return await budgets.standings(tx, payer, at, of_day(settings))


def at_best(request: RouteRequest, standings: list[Standing]) -> RouteRequest:
    """The request with what is left if the open calls of other tasks cost nothing."""
    return replace(request, available=available(standings, at_best=True))


def held(routes: Routes, task: Task, request: RouteRequest, standings: list[Standing]) -> MoneyHeld | None:
    """What the task must wait for, where another model would be asked first, or any at all, once other calls ended."""
    now = available(standings)
    # There is no budget, or others have set nothing aside: nothing would come back.
    if now is None or now == request.available:
        return None
    first, later = (_first(routes.decide(asked).candidates) for asked in (replace(request, available=now), request))
    return None if first == later else money_held(task, standings)


def money_held(task: Task, standings: list[Standing]) -> MoneyHeld:
    narrowest = tightest(standings)
    assert narrowest is not None
    return MoneyHeld(narrowest.budget.scope, task.turn)


def shortage(standings: list[Standing]) -> str:
    """One sentence on the budget that has the least left: which it is, how it stands, what can be done."""
    narrowest = tightest(standings)
    if narrowest is None:
        return ""
    budget, at = narrowest.budget, narrowest.at
    anew = renews(budget.period, at)
    begins = "" if anew is None else f"; it begins anew at {anew:%Y-%m-%d %H:%M} UTC"
    return (
        f"The {told(budget)}, has {_exact(narrowest.left)} left: {_exact(narrowest.spent)} is spent and "
        f"{_exact(narrowest.reserved)} set aside for open calls{begins}; raise it with {_how_to_raise(budget)}."
    )


def told(budget: Budget) -> str:
    """Which budget it is, in words."""
    whose = _WHOSE.get(budget.scope, "the organisation")
    return f"budget of {whose}, {_exact(budget.limit_nanousd)}{_EACH.get(budget.period, '')}"


def refused(decision: Decision, standings: list[Standing]) -> str:
    """`shortage` behind a space, where money kept a model from being asked."""
    poor = any(out.reason.startswith(OVER_BUDGET) for out in decision.excluded)
    return f" {shortage(standings)}" if poor and standings else ""


async def warn(tx: Transaction, subject: Subject, settings: Settings, cost: NanoUsd, at: datetime) -> None:
    """Note which budgets a settlement has taken past a mark. `cost` was settled just now, of a call opened at `at`."""
    if not cost:
        return
    task = subject.task
    # At the time of its opening: the ledger counts a call in the day and month in which it was reserved for.
    found = await standings(tx, Payer.of(task), settings, at)
    for standing in found:
        for mark in standing.crossed(cost):
            await _note(tx, subject, standing, mark)
    await budgets.keep_sums(tx, task.organisation_id, found)


async def _note(tx: Transaction, subject: Subject, standing: Standing, mark: int) -> None:
    budget = standing.budget
    action = "budget_exceeded" if mark == EXCEEDED_PERCENT else "budget_warning"
    facts = {
        "scope": budget.scope.value,
        "subject": budget.subject_id,
        "period": budget.period.value,
        "kind": budget.kind,
        "limit_usd": usd(budget.limit_nanousd),
        "spent_usd": usd(standing.spent),
        "percent": round(standing.percent, 1),
    }
    message = f"{standing.percent:.0f} % of the {told(budget)}, is spent"
    await record.note(tx, subject, action, message, 90, action=action, payload=facts)
    task = subject.task
    whose = await _owner_of(tx, budget, task)
    await outbox.tell(tx, task.organisation_id, whose, Event.BUDGET_THRESHOLD, facts | {"message": message})
    await marks.report(tx, subject, whose, standing, mark, record.now())


async def _owner_of(tx: Transaction, budget: Budget, task: Task) -> str | None:
    """Whose the budget is that the task's call is on; None where it is everybody's, the organisation's."""
    match budget.scope:
        case Scope.ORGANISATION:
            return None
        case Scope.AGENT:
            return await agents.owner_of(tx, task.agent_id)
        case _:
            return task.owner_id


def _first(candidates: tuple[Candidate, ...]) -> str | None:
    return candidates[0].name if candidates else None


def _exact(amount: NanoUsd) -> str:
    return money(usd(amount))


def _how_to_raise(budget: Budget) -> str:
    if budget.of_settings:
        return "VEL_TUTOR_BUDGET_USD_DAY"
    period = f" --period {budget.period}" if budget.period in _EACH else ""
    return f"`vel-tutor-mcp budget set --scope {budget.scope} --subject {budget.subject_id}{period} --limit USD`"
