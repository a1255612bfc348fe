"""What feedback says of each model, by organisation and task type; `routing.learning` says what it means."""

from dataclasses import astuple, dataclass

import sqlalchemy as sa

from vel_tutor_mcp.models import Evidence, TaskType
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import evidence


@dataclass(frozen=True, slots=True)
class Arm:
    """Whose answers, to which tasks, for whom."""

    organisation_id: str
    task_type: TaskType
    provider: str
    model: str


async def of_type(tx: Transaction, organisation_id: str, task_type: TaskType) -> dict[tuple[str, str], Evidence]:
    """What is known of each (provider, model) that had feedback on tasks of this type."""
    known = await of_organisation(tx, organisation_id, task_type)
    return known.get(task_type, {})


async def of_organisation(
    tx: Transaction, organisation_id: str, task_type: TaskType | None = None
) -> dict[TaskType, dict[tuple[str, str], Evidence]]:
    """The same for every task type, or just the one."""
    query = sa.select(evidence).where(evidence.c.organisation_id == organisation_id)
    if task_type is not None:
        query = query.where(evidence.c.task_type == task_type)
    known: dict[TaskType, dict[tuple[str, str], Evidence]] = {}
    for row in await tx.execute(query):
        known.setdefault(TaskType(row.task_type), {})[row.provider, row.model] = _evidence(row)
    return known


async def get(tx: Transaction, arm: Arm) -> Evidence | None:
    row = (await tx.execute(sa.select(evidence).where(_is(arm)))).one_or_none()
    return _evidence(row) if row else None


async def put(tx: Transaction, arm: Arm, seen: Evidence) -> None:
    """Store it in place of what was known, in a writer's transaction that has read that."""
    values = {"good": seen.good, "bad": seen.bad, "updated_at": seen.at}
    changed = await tx.execute(evidence.update().where(_is(arm)).values(values))
    if not changed.rowcount:
        names = ("organisation_id", "task_type", "provider", "model")
        await tx.execute(evidence.insert(), dict(zip(names, astuple(arm), strict=True)) | values)


def _is(arm: Arm) -> sa.ColumnElement[bool]:
    return sa.and_(
        evidence.c.organisation_id == arm.organisation_id,
        evidence.c.task_type == arm.task_type,
        evidence.c.provider == arm.provider,
        evidence.c.model == arm.model,
    )


def _evidence(row: "sa.Row[tuple[object, ...]]") -> Evidence:
    return Evidence(good=row.good, bad=row.bad, at=row.updated_at)
