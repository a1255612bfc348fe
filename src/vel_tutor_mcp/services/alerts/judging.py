"""What the rules say of the calls of one organisation, and what follows for its alerts. (Pure.)"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import NamedTuple

from vel_tutor_mcp.services.alerts import rules
from vel_tutor_mcp.services.alerts.kinds import AlertKind, Key, Wrong
from vel_tutor_mcp.services.alerts.rules import Usual, Verdict
from vel_tutor_mcp.store.alert_measures import Counts, Logs, Model, Recent, Unanswered

# An alert is closed once all was calm for so long, or too little was heard of its subject for so long.
CALM_FOR, SILENT_FOR = timedelta(minutes=10), timedelta(hours=1)


class Finding(NamedTuple):
    """A verdict, and how it would be told."""

    verdict: Verdict
    wrong: Wrong


class Usuals(NamedTuple):
    """What is usual of a model, and what its calls cost of late, which is read as seldom."""

    pace: Usual | None = None
    cost: Usual | None = None
    lately: Logs = Logs()


class Step(StrEnum):
    """What becomes of an alert."""

    NOTHING = "nothing"
    RAISE = "raise"
    KEEP = "keep"
    CLOSE = "close"


def step(verdict: Verdict, wrong_at: datetime | None, now: datetime) -> Step:
    """What follows from a verdict; `wrong_at` is when the open alert was last found not calm, None where none is."""
    if wrong_at is None:
        return Step.RAISE if verdict is Verdict.OVER else Step.NOTHING
    if verdict in {Verdict.OVER, Verdict.BETWEEN}:
        return Step.KEEP
    patience = CALM_FOR if verdict is Verdict.CALM else SILENT_FOR
    return Step.CLOSE if now - wrong_at >= patience else Step.NOTHING


def steps(
    findings: Iterable[Finding], wrong_at: Mapping[Key, datetime], now: datetime
) -> tuple[Sequence[Wrong], Mapping[Key, Verdict]]:
    """What is to be reported, and which of the open alerts are to be closed, by what verdict."""
    found = {finding.wrong.key: finding for finding in findings}
    reported = [
        finding.wrong
        for key, finding in found.items()
        if step(finding.verdict, wrong_at.get(key), now) in {Step.RAISE, Step.KEEP}
    ]
    # What was not found at all is hardly called any more.
    verdicts = {key: found[key].verdict if key in found else Verdict.UNKNOWN for key in wrong_at}
    closed = {key: verdict for key, verdict in verdicts.items() if step(verdict, wrong_at[key], now) is Step.CLOSE}
    return reported, closed


def findings(
    models: Mapping[Model, Recent], usuals: Mapping[Model, Usuals], open_breakers: Container[Model]
) -> Iterator[Finding]:
    """What there is to say of the providers and models that an organisation called of late."""
    for provider in sorted({model.provider for model in models}):
        theirs = {model: recent for model, recent in models.items() if model.provider == provider}
        yield from _of_provider(provider, theirs, open_breakers)
    for model, usually in usuals.items():
        yield from _compared(AlertKind.LATENCY, model, models.get(model, Recent()).pace, usually.pace)
        yield from _compared(AlertKind.COST, model, usually.lately, usually.cost)


def _of_provider(provider: str, models: Mapping[Model, Recent], open_breakers: Container[Model]) -> Iterator[Finding]:
    window = _sum(recent.window for recent in models.values())
    unanswered = _together([recent.unanswered for recent in models.values() if recent.unanswered.calls])
    breakers = [model in open_breakers for model, recent in models.items() if recent.window.calls]
    yield Finding(rules.provider_down(window, unanswered, breakers), _down(provider, window, unanswered))
    whole = rules.error_rate(window)
    yield Finding(whole, _failing(provider, window))
    for model, recent in models.items():
        verdict = rules.error_rate(recent.window)
        # Where all its models are over, or it has but one, the provider's alert says it.
        if verdict is not Verdict.OVER or (whole is not Verdict.OVER and len(models) > 1):
            yield Finding(verdict, _failing(str(model), recent.window))


def _down(provider: str, window: Counts, unanswered: Unanswered) -> Wrong:
    return Wrong(
        key=Key(AlertKind.PROVIDER_DOWN, provider),
        severity="critical",
        about=provider,
        message=(
            f"{provider} is down; {window.errors} of {window.calls} calls in 30 minutes failed, the last "
            f"{unanswered.calls} in a row; look at its status page, and let agents fall back to another provider."
        ),
        value=float(unanswered.calls),
        threshold=float(rules.FEWEST_DOWN),
    )


def _failing(subject: str, counts: Counts) -> Wrong:
    return Wrong(
        key=Key(AlertKind.ERROR_RATE, subject),
        about=subject,
        message=(
            f"{subject} failed {counts.errors} of {counts.calls} calls in 30 minutes; more than 10 %, and more than "
            "chance; look at the attempts of your tasks, and at the provider's status page."
        ),
        value=counts.errors / max(1, counts.calls),
        threshold=rules.HIGHEST_ERROR_RATE,
    )


def _compared(kind: AlertKind, model: Model, recent: Logs, usually: Usual | None) -> Iterator[Finding]:
    verdict = rules.compared(recent, usually)
    if usually is not None and verdict is not Verdict.UNKNOWN:
        times = rules.times_usual(recent, usually)
        wrong = Wrong(
            key=Key(kind, str(model)),
            about=str(model),
            message=_SENTENCES[kind].format(model=model, times=times, calls=recent.calls),
            value=times,
            threshold=rules.most_times(recent, usually),
        )
        yield Finding(verdict, wrong)


_SENTENCES = {
    AlertKind.LATENCY: (
        "{model} takes {times:.1f} times as long as in the 7 days before for answers of their length, by {calls} calls "
        "in 30 minutes; look at the provider's status page, or prefer another model."
    ),
    AlertKind.COST: (
        "A call of {model} costs {times:.1f} times as much as in the 7 days before, by {calls} calls in 24 hours; see "
        "who asks for what with usage_report, or set a budget."
    ),
}


def _together(unanswered: Sequence[Unanswered]) -> Unanswered:
    return Unanswered(
        calls=sum(each.calls for each in unanswered),
        first=min((each.first for each in unanswered if each.first), default=None),
        last=max((each.last for each in unanswered if each.last), default=None),
    )


def _sum(counts: Iterable[Counts]) -> Counts:
    return reduce(Counts.plus, counts, Counts())
