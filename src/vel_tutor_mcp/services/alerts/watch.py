"""The look at everybody's calls, each minute, of one process of the installation."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vel_tutor_mcp.models import NanoUsd, Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.alerts import judging, marks, raising, rules
from vel_tutor_mcp.services.alerts.judging import Usuals
from vel_tutor_mcp.services.alerts.kinds import AlertKind, Key, Wrong
from vel_tutor_mcp.services.credentials import NOBODY
from vel_tutor_mcp.services.repeating import Wording, repeated
from vel_tutor_mcp.store import alert_measures, alerts, breakers
from vel_tutor_mcp.store.alert_measures import Logs, Model, Recent
from vel_tutor_mcp.store.alerts import Alert
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken

# Later than all that a start has to do.
_FIRST_LOOK_SECONDS = 20.0
_EVERY_SECONDS = 60.0
# Less than a minute: who comes first has the next turn too, whatever a loop's round takes.
_TURN = timedelta(seconds=50)
KEPT = timedelta(days=90)

_log = logging.getLogger(__name__)
_CANNOT_LOOK = Wording(logging.DEBUG, "Alerts cannot be looked for now; %s")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of one organisation: what is wrong, and which open alerts are well again, each with the cause."""

    wrong: Sequence[Wrong] = ()
    well: list[tuple[Alert, str]] = field(default_factory=list)


class Watch:
    """Raises and closes alerts. `of_day` is the installation's own limit for a day of an organisation."""

    def __init__(self, database: Database, of_day: NanoUsd | None, clock: Callable[[], datetime] = record.now) -> None:
        self._database = database
        self._of_day = of_day
        self._clock = clock
        self._usuals: dict[str, Mapping[Model, Usuals]] = {}
        self._usuals_at: dict[str, datetime] = {}
        self._pruned_at: datetime | None = None

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged and the next look tries again."""
        await repeated(
            self.once, _EVERY_SECONDS, _log, "The look for alerts", first=_FIRST_LOOK_SECONDS, wording=_CANNOT_LOOK
        )

    @unbroken
    async def once(self) -> None:
        """Look, unless another process has within the minute.

        Raises:
            Unavailable: the database cannot be used now.
        """
        now = self._clock()
        if not await self._takes_turn(now):
            return
        for organisation_id, seen in (await self._look(now)).items():
            if seen.wrong or seen.well:
                await self._follow(organisation_id, seen, now)

    async def _takes_turn(self, now: datetime) -> bool:
        async with self._database.read(INSTALLATION) as tx:
            # A look first: where another process has the turn, nobody takes the writer's lock for it.
            if not await alerts.is_due(tx, now, _TURN):
                return False
        async with self._database.write(INSTALLATION) as tx:
            ours = await alerts.take_turn(tx, now, _TURN)
            if ours and self._pruned_at != _hour(now):
                await alerts.forget_old(tx, now - KEPT)
                self._pruned_at = _hour(now)
        return ours

    async def _look(self, now: datetime) -> Mapping[str, _Seen]:
        async with self._database.read(INSTALLATION) as tx:
            recent = await alert_measures.recent(tx, now, rules.WINDOW)
            await self._learn_usuals(tx, recent, now)
            # One that opened earlier was tried by nobody since, and stands open for ever where the key is gone.
            earliest = (now - rules.WINDOW).timestamp()
            open_breakers = {
                Model(*model)
                for model, state in (await breakers.load(tx)).items()
                if state["opened_at"] is not None and state["opened_at"] >= earliest
            }
            open_alerts: dict[str, list[Alert]] = {organisation_id: [] for organisation_id in recent}
            # Also of organisations that call no more: theirs are to be closed in the end.
            for alert in await alerts.all_open(tx):
                open_alerts.setdefault(alert.organisation_id, []).append(alert)
            seen = {}
            for organisation_id, theirs in open_alerts.items():
                of_budgets = [alert for alert in theirs if alert.kind == AlertKind.BUDGET]
                of_calls = [alert for alert in theirs if alert.kind != AlertKind.BUDGET]
                seen[organisation_id] = self._judge(organisation_id, recent, open_breakers, of_calls, now)
                below = await marks.below(tx, organisation_id, of_budgets, self._of_day, now)
                seen[organisation_id].well.extend((alert, "below its mark") for alert in below)
        return seen

    def _judge(
        self,
        organisation_id: str,
        recent: Mapping[str, Mapping[Model, Recent]],
        open_breakers: Collection[Model],
        open_alerts: Sequence[Alert],
        now: datetime,
    ) -> _Seen:
        models, usuals = recent.get(organisation_id, {}), self._usuals.get(organisation_id, {})
        found = judging.findings(models, usuals, open_breakers)
        open_by_key = {Key(AlertKind(alert.kind), alert.subject): alert for alert in open_alerts}
        wrong_at = {key: alert.wrong_at for key, alert in open_by_key.items()}
        wrong, well = judging.steps(found, wrong_at, now)
        return _Seen(wrong, [(open_by_key[key], _CAUSES[verdict]) for key, verdict in well.items()])

    async def _learn_usuals(self, tx: Transaction, organisation_ids: Collection[str], now: datetime) -> None:
        """Once an hour for each organisation that calls."""
        hour = _hour(now)
        asked = [
            organisation_id for organisation_id in organisation_ids if self._usuals_at.get(organisation_id) != hour
        ]
        if not asked:
            return
        usuals = await usuals_of(tx, asked, now)
        for organisation_id in asked:
            self._usuals[organisation_id] = usuals.get(organisation_id, {})
            self._usuals_at[organisation_id] = hour

    async def _follow(self, organisation_id: str, seen: _Seen, now: datetime) -> None:
        who = Principal(user_id=NOBODY, organisation_id=organisation_id, name="vel-tutor-mcp", role="viewer")
        async with self._database.write(organisation_id) as tx:
            for wrong in seen.wrong:
                await raising.report(tx, who, None, wrong, now)
            for alert, cause in seen.well:
                await raising.close(tx, who, alert, cause, now)


async def usuals_of(
    tx: Transaction, organisation_ids: Collection[str], now: datetime
) -> Mapping[str, Mapping[Model, Usuals]]:
    """How the models of these organisations were usually, before what is judged now."""
    before, days_before = now - rules.WINDOW, now - rules.COST_WINDOW
    paces = await alert_measures.paces(tx, organisation_ids, before - rules.HISTORY, before, rules.WINDOW)
    costs = await alert_measures.costs(
        tx, organisation_ids, days_before - rules.HISTORY, days_before, rules.COST_WINDOW
    )
    lately = await alert_measures.costs(tx, organisation_ids, days_before, now, rules.COST_WINDOW)
    found: dict[str, dict[Model, Usuals]] = {}
    for key in {*paces, *costs, *lately}:
        organisation_id, model = key
        found.setdefault(organisation_id, {})[model] = Usuals(
            pace=rules.usual(paces[key], before) if key in paces else None,
            cost=rules.usual(costs[key], days_before) if key in costs else None,
            lately=Logs(lately[key].calls, lately[key].total) if key in lately else Logs(),
        )
    return found


_CAUSES = {rules.Verdict.CALM: "calm again", rules.Verdict.UNKNOWN: "hardly called any more"}


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
