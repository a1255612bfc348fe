"""What somebody may mean who has begun to type an id or a name: of what they may see, and at most so many."""

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import completions
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.names import Named
from vel_tutor_mcp.taskmaster.known import Known


class Completions:
    """For every door; each method gives at most `limit`, the likeliest first."""

    def __init__(self, database: Database, known: Known) -> None:
        self._database = database
        self._known = known

    @allows(Operation.AGENT_READ)
    async def agents(self, principal: Principal, begun: str, limit: int) -> list[str]:
        """Names of agents, then ids."""
        return await self._called(principal, "agent", begun, limit)

    @allows(Operation.WORKFLOW_READ)
    async def workflows(self, principal: Principal, begun: str, limit: int) -> list[str]:
        """Names of workflows, then ids."""
        return await self._called(principal, "workflow", begun, limit)

    @allows(Operation.TASK_READ)
    async def tasks(self, principal: Principal, begun: str, limit: int) -> list[str]:
        return await self._ids(principal, "task", begun, limit)

    @allows(Operation.RUN_READ)
    async def runs(self, principal: Principal, begun: str, limit: int) -> list[str]:
        return await self._ids(principal, "run", begun, limit)

    @allows(Operation.TASKMASTER_READ)
    async def projects(self, principal: Principal) -> dict[str, str]:  # noqa: ARG002 - `allows` has looked at it
        """The paths of all Task Master projects that were listed, by their short ids."""
        return await in_thread(self._known.paths)

    @unbroken
    async def _ids(self, principal: Principal, kind: Named, begun: str, limit: int) -> list[str]:
        async with self._database.read(principal.organisation_id) as tx:
            return await completions.ids(tx, principal, kind, begun, limit)

    @unbroken
    async def _called(self, principal: Principal, kind: Named, begun: str, limit: int) -> list[str]:
        if not is_text(begun):
            return []
        async with self._database.read(principal.organisation_id) as tx:
            names = await completions.names(tx, principal, kind, begun, limit)
            ids = await completions.ids(tx, principal, kind, begun, limit) if begun else []
        return [*names, *ids][:limit]
