"""Every failure a user can meet. Each message says what happened, why, and what to do next.

    VelError
    +-- InputError            the caller asked for something that cannot be: fix the request
    |   +-- NotFound          no such agent, task, ...
    |   |   +-- NotYours      there is, but not for this principal: told as if there were none
    |   +-- Conflict          it exists already, or its state does not allow this
    |   +-- Forbidden         the principal's role does not allow this
    |   +-- Unauthenticated   who is asking is not known: no token, or none that is good
    |   +-- OAuthRefused      a client's request by OAuth is not in order, in the words of RFC 6749
    |   +-- TooManyTries      it was tried too often; says when to try again
    +-- ConfigurationError    the installation needs attention: settings, keys, database, folder
    |   +-- NoCandidate       no model can take this task; says why for each
    +-- Unavailable           the database cannot be used at this moment: it is tried again, or try again later
    |   +-- IssuerAway        the outside issuer of tokens does not tell its keys: who is asking cannot be known
    +-- ProviderError         one call to one model failed (facts as attributes; never a key)
    +-- NoAnswer              every candidate was tried and failed
    +-- OverBudget            the next call could cost more than the budget allows

`doors.reply` turns them into tool errors, HTTP statuses and exit codes, in one table.
"""

from vel_tutor_mcp.models import FailureKind


class VelError(Exception):
    """Something went wrong; the log says more."""

    code = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InputError(VelError):
    """The request cannot be carried out as it stands; check its arguments."""

    code = "invalid_input"


class NotFound(InputError):
    """There is no such thing; list what there is and use its id."""

    code = "not_found"


class NotYours(NotFound):
    """There is no such thing; list what there is and use its id.

    Attributes:
        subject: what it was that they may not see, for the record alone.
        recorded: it is in the audit trail.
    """

    recorded = False

    def __init__(self, message: str | None = None, subject: str = "") -> None:
        super().__init__(message or NotFound.__doc__)
        self.subject = subject


class Conflict(InputError):
    """The present state does not allow this; look at it again and retry."""

    code = "conflict"


class Forbidden(InputError):
    """Your role does not allow this; ask an administrator of your organisation.

    Attributes:
        recorded: it is in the audit trail.
    """

    code = "forbidden"
    recorded = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or "Your role does not allow this; ask an administrator of your organisation.")


class Unauthenticated(InputError):
    """It is not known who is asking; there is no valid token; sign in.

    Attributes:
        recorded: it is in the audit trail.
        subject: of an outside issuer's good token that is nobody's here, for the record alone.
    """

    code = "unauthenticated"
    recorded = False

    def __init__(self, message: str | None = None, *, recorded: bool = False, subject: str | None = None) -> None:
        super().__init__(message or "It is not known who is asking; there is no valid token; sign in.")
        self.recorded = recorded
        self.subject = subject


class OAuthRefused(InputError):
    """The request of a client is not in order.

    Attributes:
        error: which kind of fault, as RFC 6749, 7591 and 8707 call it.
        recorded: it is in the audit trail.
    """

    code = "oauth_refused"

    def __init__(self, error: str, message: str, *, recorded: bool = False) -> None:
        super().__init__(message)
        self.error = error
        self.recorded = recorded


class TooManyTries(InputError):
    """It was tried too often.

    Attributes:
        retry_after: seconds after which the next try is looked at.
        limit: how many are looked at in the time, None where that is not told.
    """

    code = "rate_limited"

    def __init__(self, message: str | None = None, retry_after: int = 60, limit: int | None = None) -> None:
        super().__init__(message or "It was tried too often; few tries a minute are looked at; try again in a minute.")
        self.retry_after = retry_after
        self.limit = limit


class ConfigurationError(VelError):
    """The installation needs attention; look at its settings, keys and database."""

    code = "configuration"


class NoCandidate(ConfigurationError):
    """No model can take this task; look at `route_explain` for the reason of each."""

    code = "no_candidate"


class Unavailable(VelError):
    """The database cannot be used at this moment; nothing was half-saved; try again."""

    code = "unavailable"


class IssuerAway(Unavailable):
    """The token cannot be checked now; its issuer does not tell its keys; try again soon."""


class OverBudget(VelError):
    """The next call could cost more than the budget allows; raise the budget or shorten the task."""

    code = "over_budget"


class NoAnswer(VelError):
    """Every candidate was tried and none answered; see the attempts and retry the task later."""

    code = "no_answer"


class ProviderError(VelError):
    """A provider failed.

    Attributes:
        kind: what failed, for the router to decide on.
        status: HTTP status, None where no answer came.
        retry_after: seconds that the provider asks to wait, None where it does not say.
        partial: text received before the failure.
        billable: whether the provider may charge for the call; it does not where it refused or never heard of it.
        telling: whether it tells against the model; it does not where our own limits ended the call.
    """

    code = "provider"

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        status: int | None = None,
        retry_after: float | None = None,
        partial: str = "",
        first_token_ms: int | None = None,
        billable: bool = True,
        telling: bool = True,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.partial = partial
        self.first_token_ms = first_token_ms
        self.billable = billable
        self.telling = telling
