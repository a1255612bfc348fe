"""The seam between the router and whoever keeps the books: what a call waits for, how it ended, where it is booked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import Candidate, Decision, FailureKind, Limits
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta
from vel_tutor_mcp.routing.health import BreakerState
from vel_tutor_mcp.routing.retry import Failure, Wait

Slot = TypeVar("Slot")

_LEAST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE_SECONDS = 16


class MustWait(Exception):
    """A call that cannot be opened for now. It is waited for outside of the router.

    Attributes:
        waits_for: what for, in a few words.
        told: the same for the task's history.
        pause: how long at least; None where what is waited for says when it is there.
    """

    waits_for: str
    told: str
    pause: timedelta | None = None


class NoPlace(MustWait):
    """The provider takes no more calls for now."""

    def __init__(self, provider: str, limits: Limits) -> None:
        super().__init__(f"no free place at {provider} ({limits})")
        self.waits_for = provider
        self.told = f"waiting for a free place at {provider} ({limits})"


class MoneyHeld(MustWait):
    """Other calls have set aside what this one needs of a budget that they share, and may give most of it back.

    The calls of a run are few and look each second. Of other budgets many may wait: who has waited often looks less
    often.
    """

    def __init__(self, whose: str, turn: int) -> None:
        super().__init__(f"the money of its {whose} is set aside")
        self.waits_for = f"the money of its {whose}"
        self.told = f"waiting until other calls of its {whose} give money back"
        longest = 1 if whose == "run" else _LONGEST_PAUSE_SECONDS
        # Ten doublings are beyond the longest pause already.
        self.pause = timedelta(seconds=min(longest, 1 << min(turn - 1, 10)))


class Paced(MustWait):
    """The provider's rate limit takes no more calls to this model for now."""

    waits_for = "a rate limit of a provider"
    pause: timedelta

    def __init__(self, candidate: Candidate, seconds: float) -> None:
        super().__init__(f"the rate limit of {candidate.name}")
        self.told = f"waiting {seconds:.0f} s for the rate limit of {candidate.name}"
        self.pause = max(timedelta(seconds=seconds), _LEAST_PAUSE)


class NoKey(MustWait):
    """This process has nothing to call a model with for the task's owner; another one may have."""

    waits_for = "a server with a key"
    told = (
        "waiting for a server or worker that has a provider's key; where none has, set OPENAI_API_KEY, GROQ_API_KEY or "
        "PERPLEXITY_API_KEY in a server's environment and start it again"
    )


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that did not answer; see `retry.Failure`."""

    provider: str
    model: str
    failure: FailureKind
    retry_after: float | None
    error: str
    partial: str

    @classmethod
    def of(cls, candidate: Candidate, problem: ProviderError) -> "Failed":
        return cls(
            candidate.provider, candidate.model, problem.kind, problem.retry_after, str(problem), problem.partial
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended: with a completion, or with a failure (or both: an answer that was not accepted)."""

    completion: Completion | None
    failure: ProviderError | None
    total_ms: int
    breaker: BreakerState | None
    """The breaker's new state, where this call changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A call that another one, to the `winner`, overtook.

    `sent`: whether its provider may have heard of it. `completion` is known where it ended before it could be stopped.
    """

    winner: Candidate
    total_ms: int
    sent: bool
    completion: Completion | None = None


class Book(Protocol[Slot]):
    """Where calls are reserved for and settled; `Slot` is its own record of one open call.

    Two calls are open at once where the second hedges the first; its methods are called one after the other all the
    same. Each slot that was opened is settled once: by `fail`, by `lose`, or by whoever stores the answer. What is open
    when `Router.answer` is cancelled, or dies, is for whoever owns the book to settle.
    """

    @property
    def tokens(self) -> int:
        """The most that a call counts against a limit of tokens, in and out."""
        ...

    async def open(
        self, candidate: Candidate, *, repairs: Failure | None = None, beside: Candidate | None = None
    ) -> "tuple[Slot, ChatRequest, Delta]":
        """Reserve for a call to the candidate, and say what to ask and who hears the answer arrive.

        `repairs`: its answer that is to be corrected; `beside`: whose call this one hedges.

        Raises:
            ProviderError: of kind OVER_BUDGET, where the shortest useful call could cost more than is left.
            NoPlace: the candidate's provider is at its limit. It is waited for, outside of the router: no other
                candidate is asked instead, for fallback is for failures.
            MoneyHeld: likewise, until other calls on the same budget have ended.
        """
        ...

    def accepted(self, completion: Completion) -> Completion:
        """The answer as it is to be stored.

        Raises:
            ProviderError: of kind INVALID_OUTPUT, where it is not what was asked for.
        """
        ...

    async def fail(self, slot: Slot, ended: Ended) -> None:
        """Settle a call that failed."""
        ...

    async def lose(self, slot: Slot, lost: Lost) -> None:
        """Settle a call that another one overtook."""
        ...

    async def wait(self, step: Wait) -> None:
        """Hear that nothing is tried for a while."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be tried: the decision, what failed already (in an earlier run), and how often to try again.

    `waited`: the pause that may be due after those failures is over.
    """

    decision: Decision
    failures: Sequence[Failure]
    max_retries: int
    fallback: bool
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Answered(Generic[Slot]):
    slot: Slot
    candidate: Candidate
    ended: Ended
