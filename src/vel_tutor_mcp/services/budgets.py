"""Budgets from the outside: set, remove, list. What they stand for is read from the ledger where calls are booked."""

from dataclasses import dataclass
from typing import Any, NoReturn

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import Forbidden, InputError, NotFound
from vel_tutor_mcp.models import NanoUsd, Principal
from vel_tutor_mcp.routing.ledger import nano_usd, usd
from vel_tutor_mcp.services import funds, record
from vel_tutor_mcp.services.inputs import check_budget, is_text
from vel_tutor_mcp.services.lookup import agent_of, run_of, task_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import audit, budgets, people
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.standing import Budget, Period, Scope, Standing, renews

_OF_CALENDAR = (Period.DAY, Period.MONTH)
_ADMINISTRATORS = frozenset({"admin", "org_admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldBudget:
    """A budget as it stands; `name` is its subject's."""

    name: str
    standing: Standing

    def shown(self) -> dict[str, Any]:
        standing, budget = self.standing, self.standing.budget
        anew = renews(budget.period, standing.at)
        return {
            "scope": budget.scope.value,
            "subject": self.name,
            "subject_id": budget.subject_id,
            "period": budget.period.value,
            "kind": budget.kind,
            "set_by": "VEL_TUTOR_BUDGET_USD_DAY" if budget.of_settings else "budget set",
            "limit_usd": usd(budget.limit_nanousd),
            "spent_usd": usd(standing.spent),
            "reserved_usd": usd(standing.reserved),
            "left_usd": usd(standing.left),
            "percent": round(standing.percent, 1),
            "begins_anew": anew and anew.isoformat(),
        }

    def line(self) -> str:
        budget, standing = self.standing.budget, self.standing
        return (
            f"Budget of {budget.scope} {self.name} per {budget.period} ({budget.kind}): "
            f"${usd(standing.spent):.6f} of ${usd(budget.limit_nanousd):.6f} spent ({standing.percent:.0f} %), "
            f"${usd(standing.reserved):.6f} set aside, ${usd(standing.left):.6f} left."
        )


class Budgets:
    """What the product does with budgets, for every door."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    @allows(Operation.BUDGET_WRITE)
    @unbroken
    async def set(
        self,
        principal: Principal,
        scope: Scope,
        subject: str | None,
        period: Period | None,
        limit_usd: float,
        *,
        hard: bool = True,
    ) -> ToldBudget:
        """Set the budget of a subject for a period, in the place of an earlier one.

        `subject` is an id or a name; left out, it is the principal, or their organisation.

        Raises:
            NotFound: no such subject. Forbidden: it is not theirs to limit.
            InputError: the limit is out of range, or the subject has no such period.
        """
        check_budget("The limit", limit_usd)
        period, at = _period(scope, period), record.now()
        async with self._database.write(principal.organisation_id) as tx:
            subject_id, name = await _subject(tx, principal, scope, subject)
            refusal = await _refusal(tx, principal, scope, subject_id, period)
            budget = Budget(
                scope=scope, subject_id=subject_id, period=period, limit_nanousd=nano_usd(limit_usd), hard=hard
            )
            await _audit(tx, principal, "budget_refused" if refusal else "budget_set", budget)
            if refusal is None:
                await budgets.put(tx, budget, principal.organisation_id, principal.user_id, at)
                told = ToldBudget(name=name, standing=await budgets.standing(tx, budget, at))
        # After the commit, which keeps on record that it was tried.
        if refusal is not None:
            _forbid(refusal)
        return told

    @allows(Operation.BUDGET_WRITE)
    @unbroken
    async def remove(self, principal: Principal, scope: Scope, subject: str | None, period: Period | None) -> str:
        """Take the budget away; returns its subject's name.

        Raises:
            NotFound: no such subject, or it has no such budget. Forbidden: it is not theirs.
        """
        period = _period(scope, period)
        async with self._database.write(principal.organisation_id) as tx:
            subject_id, name = await _subject(tx, principal, scope, subject)
            refusal = await _refusal(tx, principal, scope, subject_id, period)
            budget = Budget(scope=scope, subject_id=subject_id, period=period, limit_nanousd=NanoUsd(0))
            if refusal is None and not await budgets.remove(tx, scope, subject_id, period):
                raise NotFound(f"There is no such budget; the {scope} {name} has none per {period}; see `budget list`.")
            await _audit(tx, principal, "budget_refused" if refusal else "budget_removed", budget)
        # As in `set`.
        if refusal is not None:
            _forbid(refusal)
        return name

    @allows(Operation.BUDGET_READ)
    @unbroken
    async def list(self, principal: Principal) -> list[ToldBudget]:
        """The budgets that the principal may see, as they stand: an administrator the organisation's, others theirs."""
        async with self._database.read(principal.organisation_id) as tx:
            return await told(tx, principal, self._settings, everyone=principal.role in _ADMINISTRATORS)


async def told(tx: Transaction, principal: Principal, settings: Settings, *, everyone: bool) -> list[ToldBudget]:
    """The budgets of days and months that the principal's calls are on, or with `everyone` anyone's."""
    at = record.now()
    found = await budgets.of_organisation(tx, principal.organisation_id)
    if not everyone:
        own = await budgets.own_subjects(tx, principal)
        found = [(budget, name) for budget, name in found if budget.subject_id in own]
    if (of_day := funds.of_day(settings)) is not None:
        name = await people.organisation_name(tx, principal.organisation_id)
        found.append((budgets.of_settings(principal.organisation_id, of_day), name))
    standings = await budgets.stand(tx, [budget for budget, _ in found], at)
    return [ToldBudget(name=name, standing=row) for (_, name), row in zip(found, standings, strict=True)]


def _period(scope: Scope, period: Period | None) -> Period:
    """The period that is meant.

    Raises:
        InputError: there is none of this scope, or it must be named.
    """
    lives = {Scope.TASK: Period.TASK, Scope.RUN: Period.RUN}
    if scope in lives:
        if period not in {None, lives[scope]}:
            raise InputError(f"A {scope} has no {period}; its budget is for its whole life; leave the period out.")
        return lives[scope]
    if period not in _OF_CALENDAR:
        raise InputError(f"The period is missing; the budget of a {scope} is per day or per month (UTC); name one.")
    return period


async def _subject(tx: Transaction, principal: Principal, scope: Scope, subject: str | None) -> tuple[str, str]:
    """The id and the name of what is to be limited."""
    if scope is Scope.USER:
        return await _user(tx, principal, subject)
    if scope is Scope.ORGANISATION:
        return await _organisation(tx, principal, subject)
    if subject is None:
        raise InputError(f"The subject is missing; say which {scope} the budget is of, by its id or name.")
    if scope is Scope.AGENT:
        agent = await agent_of(tx, principal, subject)
        return agent.id, agent.name
    thing = await (task_of if scope is Scope.TASK else run_of)(tx, principal, subject)
    return thing.id, thing.id


async def _user(tx: Transaction, principal: Principal, subject: str | None) -> tuple[str, str]:
    if subject is None:
        return principal.user_id, principal.name
    user = await people.find(tx, principal.organisation_id, subject) if is_text(subject) else None
    # Others' names are an administrator's to know.
    if user is None or (principal.role not in _ADMINISTRATORS and user.user_id != principal.user_id):
        raise NotFound("There is no such user; nobody of your organisation has this id or name; leave it out for you.")
    return user.user_id, user.name


async def _organisation(tx: Transaction, principal: Principal, subject: str | None) -> tuple[str, str]:
    name = await people.organisation_name(tx, principal.organisation_id)
    if subject not in {None, name, principal.organisation_id}:
        raise NotFound(f"There is no such organisation; yours is {name}; leave the subject out for it.")
    return principal.organisation_id, name


async def _refusal(tx: Transaction, principal: Principal, scope: Scope, subject_id: str, period: Period) -> str | None:
    """Why the principal may not change this budget; None where they may."""
    if principal.role in _ADMINISTRATORS:
        return None
    if scope is Scope.ORGANISATION:
        return "You may not set the organisation's budgets; its administrators do; ask one of them."
    if await budgets.set_by(tx, scope, subject_id, period) not in {None, principal.user_id}:
        return "You may not change this budget; somebody else has set it; ask an administrator of your organisation."
    return None


def _forbid(why: str) -> NoReturn:
    refusal = Forbidden(why)
    refusal.recorded = True  # with the budget that was wanted
    raise refusal


async def _audit(tx: Transaction, principal: Principal, action: str, budget: Budget) -> None:
    facts: dict[str, Any] = {"period": budget.period.value}
    if action != "budget_removed":
        facts |= {"kind": budget.kind, "limit_usd": usd(budget.limit_nanousd)}
    await audit.append(tx, principal, action, f"{budget.scope}:{budget.subject_id}", facts, record.now())
