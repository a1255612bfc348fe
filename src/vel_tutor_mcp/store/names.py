"""Things that are found by their id or by their name."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.alert_tables import alerts
from vel_tutor_mcp.store.comparison_tables import comparisons
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.run_tables import runs, workflows
from vel_tutor_mcp.store.tables import agents, tasks
from vel_tutor_mcp.store.webhook_tables import webhooks

Named = Literal["agent", "workflow", "task", "run", "webhook", "comparison", "alert"]
TABLES: Mapping[Named, sa.Table] = {
    "agent": agents,
    "workflow": workflows,
    "task": tasks,
    "run": runs,
    "webhook": webhooks,
    "comparison": comparisons,
    "alert": alerts,
}


def called(query: sa.Select[Any], table: sa.Table, principal: Principal, id_or_name: str) -> sa.Select[Any]:
    """Of what the principal may see: the one with this id, else their own of this name, else another's."""
    spelt = id_in(id_or_name)
    named = table.c.name == id_or_name
    matches = sa.or_(table.c.id == spelt, named) if spelt else named
    own_first = (table.c.owner_id == principal.user_id).desc()
    # False sorts first, and so what has this id and another name.
    return query.where(matches, paging.visible(table, principal)).order_by(named, own_first).limit(1)


async def is_hidden(tx: Transaction, kind: Named, principal: Principal, thing_id: str) -> bool:
    """Whether there is a thing of this id that the principal may not see."""
    table = TABLES[kind]
    query = sa.select(sa.true()).where(table.c.id == thing_id, sa.not_(paging.visible(table, principal)))
    return bool(await tx.scalar(query))


def id_in(text: str) -> str | None:
    """The id that the text spells, None where it spells none: names may be hexadecimal too."""
    try:
        spelt = str(UUID(text))
    except ValueError:
        return None
    return spelt if spelt == text.lower() else None
