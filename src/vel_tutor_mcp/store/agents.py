"""Agents and the versions of their configuration."""

from datetime import datetime

import sqlalchemy as sa

from vel_tutor_mcp.models import Agent, AgentConfig, AgentStatus, AgentType, Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import called
from vel_tutor_mcp.store.tables import agent_versions, agents

_present = agents.join(
    agent_versions,
    sa.and_(agent_versions.c.agent_id == agents.c.id, agent_versions.c.version == agents.c.version),
)
_query = sa.select(agents, agent_versions.c.config).select_from(_present).where(agents.c.deleted_at.is_(None))


async def insert(tx: Transaction, agent: Agent) -> None:
    await tx.execute(
        agents.insert(),
        {
            "id": agent.id,
            "organisation_id": agent.organisation_id,
            "owner_id": agent.owner_id,
            "name": agent.name,
            "type": agent.type,
            "status": agent.status,
            "version": agent.version,
            "created_at": agent.created_at,
            "updated_at": agent.updated_at,
        },
    )
    await _insert_version(tx, agent)


async def update(tx: Transaction, agent: Agent) -> None:
    """Store the agent as given; a version that is new keeps its configuration beside the earlier ones."""
    await tx.execute(
        agents.update()
        .where(agents.c.id == agent.id)
        .values(name=agent.name, status=agent.status, version=agent.version, updated_at=agent.updated_at)
    )
    if agent.version not in await versions(tx, agent.id):
        await _insert_version(tx, agent)


async def delete(tx: Transaction, agent_id: str, now: datetime) -> None:
    await tx.execute(agents.update().where(agents.c.id == agent_id).values(deleted_at=now, updated_at=now))


async def find(tx: Transaction, principal: Principal, id_or_name: str) -> Agent | None:
    """The principal's agent with this id, else with this name."""
    query = called(_query, agents, principal, id_or_name)
    return await rows.one(tx, query, _agent)


async def owner_of(tx: Transaction, agent_id: str) -> str:
    """Whose agent this is, which must exist; it may have been taken away."""
    return str((await tx.execute(sa.select(agents.c.owner_id).where(agents.c.id == agent_id))).scalar_one())


async def name_taken(tx: Transaction, principal: Principal, name: str) -> bool:
    query = sa.select(agents.c.id).where(
        agents.c.owner_id == principal.user_id, agents.c.name == name, agents.c.deleted_at.is_(None)
    )
    return (await tx.execute(query)).first() is not None


async def page(
    tx: Transaction, principal: Principal, status: AgentStatus | None, limit: int, cursor: Start
) -> Page[Agent]:
    query = _query.where(paging.visible(agents, principal))
    if status is not None:
        query = query.where(agents.c.status == status)
    return await paging.newest_first(tx, query, (agents.c.created_at, agents.c.id), limit, cursor, _agent)


async def config(tx: Transaction, agent_id: str, version: int) -> AgentConfig:
    """The configuration that the agent had at `version`, which must exist."""
    query = sa.select(agent_versions.c.config).where(
        agent_versions.c.agent_id == agent_id, agent_versions.c.version == version
    )
    return AgentConfig.model_validate((await tx.execute(query)).scalar_one())


async def versions(tx: Transaction, agent_id: str) -> dict[int, datetime]:
    """Each version's number and when it was made, oldest first."""
    query = (
        sa.select(agent_versions.c.version, agent_versions.c.created_at)
        .where(agent_versions.c.agent_id == agent_id)
        .order_by(agent_versions.c.version)
    )
    return {row.version: row.created_at for row in await tx.execute(query)}


async def _insert_version(tx: Transaction, agent: Agent) -> None:
    await tx.execute(
        agent_versions.insert(),
        {
            "agent_id": agent.id,
            "version": agent.version,
            "organisation_id": agent.organisation_id,
            "owner_id": agent.owner_id,
            "config": agent.config.model_dump(mode="json"),
            "created_at": agent.updated_at,
        },
    )


def _agent(row: sa.RowMapping) -> Agent:
    return Agent(
        id=row["id"],
        owner_id=row["owner_id"],
        organisation_id=row["organisation_id"],
        name=row["name"],
        type=AgentType(row["type"]),
        status=AgentStatus(row["status"]),
        config=AgentConfig.model_validate(row["config"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
