"""Alerts, for every door: what is wrong, and who has seen it."""

from vel_tutor_mcp.auth.roles import Operation, may_to
from vel_tutor_mcp.errors import Forbidden
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.lookup import alert_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import alerts, audit
from vel_tutor_mcp.store.alerts import Alert, State
from vel_tutor_mcp.store.database import Database, unbroken

_NAMED = 5


class Alerts:
    """What is done with them once the watch has raised them, or a settlement."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @allows(Operation.ALERT_READ)
    @unbroken
    async def list(
        self, principal: Principal, *, state: State = "open", limit: int = 20, cursor: Start = None
    ) -> Page[Alert]:
        """Those of the organisation as a whole, and of budgets that the principal may see, newest first."""
        async with self._database.read(principal.organisation_id) as tx:
            return await alerts.page(tx, principal, limit, cursor, state)

    @allows(Operation.ALERT_WRITE)
    @unbroken
    async def acknowledge(self, principal: Principal, alert_id: str) -> Alert:
        """Note that the principal has seen it; where somebody has before them, that stands.

        Raises:
            NotFound: there is none that they may see. Forbidden: it is not theirs to acknowledge.
        """
        async with self._database.write(principal.organisation_id) as tx:
            alert = await alert_of(tx, principal, alert_id)
            if not may_to(principal, Operation.ALERT_WRITE, alert.organisation_id, alert.owner_id or ""):
                raise Forbidden(
                    "You may not acknowledge this alert; it is about your organisation as a whole; ask who manages its "
                    "agents, or an administrator."
                )
            now = record.now()
            if await alerts.acknowledge(tx, alert.id, principal.name, now):
                facts = {"kind": alert.kind, "about": alert.about}
                await audit.append(tx, principal, "alert_acknowledged", f"alert:{alert.id}", facts, now)
            return await alert_of(tx, principal, alert_id)

    @allows(Operation.ALERT_READ)
    async def line(self, principal: Principal) -> str:
        """One line on what is open; empty where nothing is."""
        page = await self.list(principal, limit=_NAMED)
        if not page.rows:
            return ""
        told = ", ".join(f"{alert.about} ({alert.kind})" for alert in page.rows)
        return f"Open alerts: {told}{', and more' if page.more else ''}."
