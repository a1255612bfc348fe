"""What follows after a failed call, pure: a repair, the next candidate, the same again after a wait, or giving up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vel_tutor_mcp.models import Candidate, FailureKind

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 60.0

# Worth asking the same model again; after MALFORMED only another one is asked, after INVALID_OUTPUT it may repair it.
PASSING = frozenset({FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR, FailureKind.CONNECTION, FailureKind.TIMEOUT})
# A key is for all models of its provider.
_OF_KEYS = frozenset({FailureKind.AUTHENTICATION, FailureKind.NO_KEY})


class Failure(Protocol):
    """A call that failed, such as a `models.Attempt`.

    `retry_after`: seconds that the provider asks to wait; `error`: what was wrong, `partial`: the text that arrived.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def failure(self) -> FailureKind | None: ...
    @property
    def retry_after(self) -> float | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def partial(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Try:
    """Call this candidate at once."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Repair:
    """Ask this candidate for its answer again, which did not match the schema."""

    candidate: Candidate
    failure: Failure


@dataclass(frozen=True, slots=True)
class Wait:
    """Call this candidate again after so many seconds; `limited`: or at all, for its rate limit takes none before."""

    seconds: float
    candidate: Candidate
    limited: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no further call; `reason` as the end of a sentence."""

    reason: str


Step = Try | Repair | Wait | GiveUp


def next_step(
    candidates: Sequence[Candidate],
    failures: Sequence[Failure],
    max_retries: int,
    fallback: bool = True,
    jitter: float = 1.0,
) -> Step:
    """What to do next, `candidates` in order of preference and `failures` in order of time.

    `max_retries` bounds the calls beyond the first of each candidate, repairs too; `jitter` (0-1, drawn by the caller)
    scales the backoff. Failures without a kind (a call cut by a crash) count as no call at all.
    """
    told = [failure for failure in failures if failure.failure is not None]
    if any(failure.failure is FailureKind.BAD_REQUEST for failure in told):
        return GiveUp("the provider refused the request itself, so every other call would fail too")
    open_to_all = list(candidates) if fallback else list(candidates[:1])
    if (repair := _repair(open_to_all, told, max_retries)) is not None:
        return repair
    left = [candidate for candidate in open_to_all if not _taken_out(candidate, told)]
    for candidate in left:
        if not _of(candidate, told):
            return Try(candidate)
    return _again(left, told, max_retries, jitter)


def _repair(candidates: Sequence[Candidate], failures: Sequence[Failure], max_retries: int) -> Repair | None:
    """Each model repairs one answer, at once after it gave it."""
    if not failures or failures[-1].failure is not FailureKind.INVALID_OUTPUT or _retries(failures) >= max_retries:
        return None
    last = failures[-1]
    for candidate in candidates:
        theirs = _of(candidate, failures)
        if last in theirs and sum(failure.failure is FailureKind.INVALID_OUTPUT for failure in theirs) == 1:
            return Repair(candidate, last)
    return None


def _retries(failures: Sequence[Failure]) -> int:
    return len(failures) - len({(failure.provider, failure.model) for failure in failures})


def _taken_out(candidate: Candidate, failures: Sequence[Failure]) -> bool:
    unusable = any(f.provider == candidate.provider and f.failure in _OF_KEYS for f in failures)
    return unusable or any(f.failure not in PASSING for f in _of(candidate, failures))


def _of(candidate: Candidate, failures: Iterable[Failure]) -> list[Failure]:
    return [f for f in failures if (f.provider, f.model) == (candidate.provider, candidate.model)]


def _again(left: Sequence[Candidate], failures: Sequence[Failure], max_retries: int, jitter: float) -> Step:
    if not left:
        return GiveUp("no other model is left to try")
    if _retries(failures) >= max_retries:
        return GiveUp(f"the limit of {max_retries} retries is reached" if max_retries else "retries are switched off")
    soonest = min(left, key=lambda candidate: _delay(candidate, failures, 1.0))
    if (asked := _retry_after(soonest, failures)) > LONGEST_WAIT_SECONDS:
        return GiveUp(f"{soonest.name} asks to come back in {_period(asked)}")
    return Wait(_delay(soonest, failures, jitter), soonest)


def _delay(candidate: Candidate, failures: Sequence[Failure], jitter: float) -> float:
    # Ten are beyond the longest backoff already.
    doublings = min(len(_of(candidate, failures)) - 1, 10)
    backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * (1 << doublings))
    return max(backoff * min(1.0, max(0.0, jitter)), _retry_after(candidate, failures))


def _retry_after(candidate: Candidate, failures: Sequence[Failure]) -> float:
    return max(0.0, _of(candidate, failures)[-1].retry_after or 0.0)


def _period(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * 60 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class _Words:
    why: str
    advice: str


# In the order in which advice is given: what a person must do comes before what only needs time.
_WORDS = {
    FailureKind.BAD_REQUEST: _Words("refused the request", "change the prompt or the agent's settings"),
    FailureKind.OVER_BUDGET: _Words("could have cost more than the budget allows", "raise the budget"),
    FailureKind.AUTHENTICATION: _Words("refused the API key", "check the provider's API key"),
    FailureKind.NO_KEY: _Words("could not be called for want of a key here", "set it in this server's environment"),
    FailureKind.NOT_FOUND: _Words("does not exist or is not open to this key", "see its attempt or use another model"),
    FailureKind.INVALID_OUTPUT: _Words("gave an answer that does not match the schema", "simplify the schema"),
    FailureKind.RATE_LIMITED: _Words("is rate limited", "wait a minute and retry the task"),
    FailureKind.TIMEOUT: _Words("took too long", "retry the task or raise timeout_seconds"),
    FailureKind.CONNECTION: _Words("could not be reached", "check the network and retry the task"),
    FailureKind.SERVER_ERROR: _Words("had an internal error", "retry the task later"),
    FailureKind.MALFORMED: _Words("sent an answer that could not be read", "retry the task later"),
}


def failure_sentence(failures: Sequence[Failure]) -> str:
    """One sentence on why a task failed: what was tried, why each call failed, what to do next."""
    told = [failure for failure in failures if failure.failure is not None]
    kinds = [kind for kind in _WORDS if any(failure.failure is kind for failure in told)]
    if not kinds:
        return "No model answered; every call was interrupted; retry the task."
    why = ", ".join(f"{_names(told, kind)} {_WORDS[kind].why}" for kind in kinds)
    return f"No model answered; {why}; {_WORDS[kinds[0]].advice}."


def _names(failures: Iterable[Failure], kind: FailureKind) -> str:
    times: dict[str, int] = {}
    for failure in failures:
        if failure.failure is kind:
            name = f"{failure.provider}/{failure.model}"
            times[name] = times.get(name, 0) + 1
    return " and ".join(name if count == 1 else f"{name} ({count} times)" for name, count in times.items())
