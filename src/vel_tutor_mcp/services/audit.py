"""The trail: what was done, by whom, to what. Searched here; each service writes it in the change's transaction."""

from datetime import UTC, datetime

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import AuditEntry, Page, Principal, Start
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import audit as trail
from vel_tutor_mcp.store.database import Database, unbroken


class Audit:
    def __init__(self, database: Database) -> None:
        self._database = database

    @allows(Operation.AUDIT_READ)
    @unbroken
    async def search(
        self,
        reader: Principal,
        *,
        action: str | None = None,
        principal: str | None = None,
        subject: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 20,
        cursor: Start = None,
    ) -> Page[AuditEntry]:
        """Entries that the reader may see, newest first. `since` is inclusive, `until` exclusive, both ISO 8601.

        Raises:
            InputError: a time is not ISO 8601, or the cursor is not of this list.
        """
        if not all(is_text(wanted) for wanted in (action, principal, subject) if wanted is not None):
            return Page((), (), more=False, total=0)
        async with self._database.read() as tx:
            return await trail.page(
                tx,
                reader,
                limit,
                cursor,
                action=action,
                principal=principal,
                subject=subject,
                since=_moment("since", since),
                until=_moment("until", until),
            )


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"`{name}` is not a time; it must be ISO 8601; write it like 2026-11-23T08:00:00Z.") from None
