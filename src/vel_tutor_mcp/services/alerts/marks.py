"""Alerts of budgets: raised where a settlement passes a mark, closed once what is spent is below it again."""

from collections.abc import Collection, Sequence
from datetime import datetime

from vel_tutor_mcp.models import NanoUsd
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.routing.reasons import money
from vel_tutor_mcp.services.alerts import raising
from vel_tutor_mcp.services.alerts.kinds import AlertKind, Key, Wrong
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.store import budgets, people
from vel_tutor_mcp.store.alerts import Alert
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.standing import EXCEEDED_PERCENT, WARNING_PERCENT, Budget, Scope, Standing, begins


async def report(
    tx: Transaction, subject: Subject, owner_id: str | None, standing: Standing, mark: int, now: datetime
) -> None:
    """Raise the alert of a budget of days or months that the subject's call took past the mark, in percent."""
    budget = standing.budget
    if begins(budget.period, now) is None:  # a task's own, or a run's: its history has it, and it is over soon
        return
    about = f"budget of {budget.scope} {await _name(tx, subject, budget)} per {budget.period}"
    wrong = Wrong(
        key=key_of(budget, mark),
        severity="critical" if mark == EXCEEDED_PERCENT else "warning",
        about=about,
        message=(
            f"{standing.percent:.0f} % of the {about}, {money(usd(budget.limit_nanousd))}, is spent; see on what with "
            "usage_report, or raise it with `budget set`."
        ),
        value=standing.percent / 100,
        threshold=mark / 100,
    )
    await raising.report(tx, subject.owner, owner_id, wrong, now)


async def below(
    tx: Transaction, organisation_id: str, open_alerts: Collection[Alert], of_day: NanoUsd | None, now: datetime
) -> Sequence[Alert]:
    """Those of the alerts whose budget is gone, raised or begun anew. `of_day` as in `budgets.standings`."""
    if not open_alerts:
        return []
    there = [budget for budget, _ in await budgets.of_organisation(tx, organisation_id)]
    there += [] if of_day is None else [budgets.of_settings(organisation_id, of_day)]
    passed = {
        key_of(standing.budget, mark).subject
        for standing in await budgets.stand(tx, there, now)
        for mark in (WARNING_PERCENT, EXCEEDED_PERCENT)
        if standing.percent >= mark
    }
    return [alert for alert in open_alerts if alert.subject not in passed]


def key_of(budget: Budget, mark: int) -> Key:
    of = "settings" if budget.of_settings else budget.scope
    return Key(AlertKind.BUDGET, f"{of}:{budget.subject_id}:{budget.period}:{mark}")


async def _name(tx: Transaction, subject: Subject, budget: Budget) -> str:
    match budget.scope:
        case Scope.ORGANISATION:
            return await people.organisation_name(tx, budget.subject_id)
        case Scope.AGENT:
            return subject.task.agent_name
        case _:
            return subject.owner.name
