"""Workflows and their versions, which never change."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import called
from vel_tutor_mcp.store.run_tables import workflow_versions, workflows
from vel_tutor_mcp.workflows.model import Workflow


async def insert(tx: Transaction, workflow: Workflow) -> None:
    await tx.execute(workflows.insert(), {name: getattr(workflow, name) for name in Workflow.__slots__})


async def add_version(tx: Transaction, workflow: Workflow, definition: dict[str, Any]) -> None:
    """Store the definition as the version that the workflow says it is of."""
    await tx.execute(
        workflow_versions.insert(),
        {
            "workflow_id": workflow.id,
            "version": workflow.version,
            "organisation_id": workflow.organisation_id,
            "owner_id": workflow.owner_id,
            "definition": definition,
            "created_at": workflow.updated_at,
        },
    )


async def update(tx: Transaction, workflow: Workflow) -> None:
    changed = {"version": workflow.version, "template": workflow.template, "updated_at": workflow.updated_at}
    await tx.execute(workflows.update().where(workflows.c.id == workflow.id), changed)


async def find(tx: Transaction, principal: Principal, id_or_name: str) -> Workflow | None:
    """The workflow with this id, else with this name, where the principal may see it."""
    return await rows.one(tx, called(sa.select(workflows), workflows, principal, id_or_name), _workflow)


async def own(tx: Transaction, principal: Principal, name: str) -> Workflow | None:
    """The principal's own workflow of this name."""
    query = sa.select(workflows).where(workflows.c.owner_id == principal.user_id, workflows.c.name == name)
    return await rows.one(tx, query, _workflow)


async def definition(tx: Transaction, workflow_id: str, version: int) -> dict[str, Any]:
    query = sa.select(workflow_versions.c.definition).where(
        workflow_versions.c.workflow_id == workflow_id, workflow_versions.c.version == version
    )
    found: dict[str, Any] = (await tx.execute(query)).scalar_one()
    return found


async def versions(tx: Transaction, workflow_id: str) -> dict[int, datetime]:
    """When each version was made."""
    query = sa.select(workflow_versions.c.version, workflow_versions.c.created_at).where(
        workflow_versions.c.workflow_id == workflow_id
    )
    return {row.version: row.created_at for row in await tx.execute(query.order_by(workflow_versions.c.version))}


async def page(tx: Transaction, principal: Principal, limit: int, cursor: Start) -> Page[Workflow]:
    query = sa.select(workflows).where(paging.visible(workflows, principal))
    keys = (workflows.c.created_at, workflows.c.id)
    return await paging.newest_first(tx, query, keys, limit, cursor, _workflow)


async def templates(tx: Transaction, principal: Principal) -> list[tuple[Workflow, dict[str, Any]]]:
    """The principal's own templates with their newest definitions, by name."""
    query = (
        sa.select(workflows, workflow_versions.c.definition)
        .join(workflow_versions, workflow_versions.c.workflow_id == workflows.c.id)
        .where(workflow_versions.c.version == workflows.c.version)
        .where(workflows.c.owner_id == principal.user_id, workflows.c.template)
        .order_by(workflows.c.name)
    )
    return [(_workflow(row), row["definition"]) for row in (await tx.execute(query)).mappings()]


def _workflow(row: sa.RowMapping) -> Workflow:
    return Workflow(**{name: row[name] for name in Workflow.__slots__})
