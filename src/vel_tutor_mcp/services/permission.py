"""Operations of services begin with `@allows(...)`: roles are checked there, and refusals recorded, once each."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from vel_tutor_mcp.auth.roles import Operation, Reach, permit, reach
from vel_tutor_mcp.errors import Forbidden, NotYours
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken


class HasDatabase(Protocol):
    @property
    def _database(self) -> Database: ...


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=HasDatabase)
Method = Callable[Concatenate[S, Principal, P], Coroutine[Any, Any, R]]


def allows(operation: Operation) -> Callable[[Method[S, P, R]], Method[S, P, R]]:
    """Let in whose role has the operation.

    Raises:
        Forbidden: it has not; that, and whatever else is refused in the method, goes into the audit trail.
    """

    def guard(method: Method[S, P, R]) -> Method[S, P, R]:
        @wraps(method)
        async def guarded(self: S, principal: Principal, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                permit(principal, operation)
                return await method(self, principal, *args, **kwargs)
            except (Forbidden, NotYours) as refusal:
                if not refusal.recorded:
                    refusal.recorded = True  # a method of another service may have called this one
                    await _record(self._database, principal, operation, refusal)
                raise

        guarded.operation = operation  # type: ignore[attr-defined]  # functions take attributes; typing has no word for it
        return guarded

    return guard


def acts_for(principal: Principal, operation: Operation) -> str:
    """For whom a transaction of the operation is: the principal's organisation, unless it reaches beyond it."""
    return INSTALLATION if reach(principal.role, operation) is Reach.INSTALLATION else principal.organisation_id


@unbroken
async def _record(
    database: Database, principal: Principal, operation: Operation, refusal: Forbidden | NotYours
) -> None:
    facts = {"operation": operation.value, "role": principal.role}
    subject = refusal.subject if isinstance(refusal, NotYours) else f"user:{principal.user_id}"
    async with database.write(principal.organisation_id) as tx:
        await audit.append(tx, principal, "refused", subject, facts, record.now())
