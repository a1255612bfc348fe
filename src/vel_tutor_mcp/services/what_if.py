"""What another policy would have chosen for the tasks that were, and what can be said of how that would have gone.

Each decision is made once more by the code that makes them all, from the stored prompt and the agent as it was. Nothing
is called, and nothing costs.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import fmean

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import (
    Attempt,
    Candidate,
    Evidence,
    FailureKind,
    NanoUsd,
    Outcome,
    Page,
    Policy,
    Principal,
    TaskType,
)
from vel_tutor_mcp.routing.evaluation import Logged, doubly_robust
from vel_tutor_mcp.routing.learning import weight_of_rating
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.what_if_report import Course, WhatIfReport
from vel_tutor_mcp.store import decisions, evidence
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.decisions import Made
from vel_tutor_mcp.store.spans import ReportPeriod, Window

MOST_DECISIONS = 2000
_AT_ONCE = 100

Known = Mapping[TaskType, Mapping[tuple[str, str], Evidence]]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision that was made, beside the one of the other policy: the first of each, None where there was none.

    `outcome`: how good the answer of `was` turned out to be (0-1), where anybody said. `answer` is the call that
    answered, whoever made it.
    """

    was: Candidate | None
    would: Candidate | None
    propensity: float
    outcome: float | None
    cost_nanousd: NanoUsd
    answer: Attempt | None


class WhatIf:
    """Replays, for every door."""

    def __init__(self, database: Database, routes: Routes) -> None:
        self._database = database
        self._routes = routes

    @allows(Operation.USAGE_READ)
    async def replay(self, principal: Principal, period: ReportPeriod, policy: Policy) -> WhatIfReport:
        """The newest `MOST_DECISIONS` decisions of the period that the principal may see, by this policy instead.

        It takes about a millisecond for each, and lets others have their turn after each.
        """
        start, known = Window.of(period, record.now()).since, await self._known(principal)
        replayed: list[Replayed] = []
        cursor: str | None = None
        while len(replayed) < MOST_DECISIONS:
            page = await self._page(principal, start, cursor)
            for made in page.rows:
                replayed.append(self._again(made, policy, known))
                await asyncio.sleep(0)
            cursor = page.cursor
            if cursor is None:
                break
        return report_of(policy, replayed, is_cut=cursor is not None)

    @unbroken
    async def _known(self, principal: Principal) -> Known:
        async with self._database.read(principal.organisation_id) as tx:
            return await evidence.of_organisation(tx, principal.organisation_id)

    @unbroken
    async def _page(self, principal: Principal, start: datetime, cursor: str | None) -> Page[Made]:
        async with self._database.read(principal.organisation_id) as tx:
            return await decisions.page(tx, principal, start, _AT_ONCE, cursor)

    def _again(self, made: Made, policy: Policy, known: Known) -> Replayed:
        task = made.task
        config = made.config.model_copy(update={"policy": policy})
        request = self._routes.request_of_task(task, config, available=task.max_cost_nanousd)
        request = replace(request, evidence=known.get(request.features.task_type, {}))
        was, would = made.decision.candidates[:1], self._routes.decide_all_up(request).candidates[:1]
        return Replayed(
            was=was[0] if was else None,
            would=would[0] if would else None,
            propensity=made.decision.propensity,
            outcome=outcome_of(was[0], made) if was else None,
            cost_nanousd=NanoUsd(sum(attempt.cost_nanousd or 0 for attempt in made.attempts)),
            answer=next((attempt for attempt in made.attempts if attempt.outcome is Outcome.COMPLETED), None),
        )


def outcome_of(first: Candidate, made: Made) -> float | None:
    """How good the answer of the candidate that was asked first was (0-1); None where nothing says.

    Ratings say it, and where there is none a schema does, which the answer matched or not. An answer of another model,
    after a failure, says nothing of this one.
    """
    calls = [attempt for attempt in made.attempts if (attempt.provider, attempt.model) == (first.provider, first.model)]
    if any(attempt.failure is FailureKind.INVALID_OUTPUT for attempt in calls):
        return 0.0
    if not any(attempt.outcome is Outcome.COMPLETED for attempt in calls):
        return None
    if made.ratings:
        return fmean(weight_of_rating(rating).share_good for rating in made.ratings)
    return None if made.task.response_schema is None else 1.0


def report_of(policy: Policy, replayed: Sequence[Replayed], *, is_cut: bool) -> WhatIfReport:
    """What the replay comes to."""
    outcomes = [row.outcome for row in replayed if row.outcome is not None]
    answers = [row.answer.total_ms for row in replayed if row.answer is not None and row.answer.total_ms is not None]
    return WhatIfReport(
        policy=policy,
        decisions=len(replayed),
        is_cut=is_cut,
        same=sum(_same(row) for row in replayed),
        cost_nanousd=NanoUsd(sum(row.cost_nanousd for row in replayed)),
        latency_ms=round(fmean(answers)) if answers else None,
        answered=fmean(row.answer is not None for row in replayed) if replayed else None,
        was=_course(row.was for row in replayed),
        would=_course(row.would for row in replayed),
        outcomes=len(outcomes),
        outcome=fmean(outcomes) if outcomes else None,
        estimate=doubly_robust([logged for row in replayed if (logged := _logged(row))]),
    )


def _logged(row: Replayed) -> Logged | None:
    if row.outcome is None:
        return None
    expected = row.would.p_ok if row.would else 0.0
    return Logged(outcome=row.outcome, propensity=row.propensity, matches=_same(row), expected=expected)


def _same(row: Replayed) -> bool:
    return row.was is not None and row.would is not None and row.was.name == row.would.name


def _course(firsts: Iterable[Candidate | None]) -> Course:
    """What is expected where these are asked; None stands for a task that no model could take."""
    every = list(firsts)
    chosen = [first for first in every if first is not None]
    return Course(
        cost_nanousd=NanoUsd(sum(first.expected_cost_nanousd for first in chosen)),
        latency_ms=round(fmean(first.expected_latency_ms for first in chosen)) if chosen else None,
        good_enough=sum(first.p_ok * first.p_up for first in chosen) / len(every) if every else None,
        without_model=len(every) - len(chosen),
    )
