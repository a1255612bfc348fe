"""What a clock that was set back leaves in the rows: waits that were counted from a time that has not come yet.

Left alone, each of them would last longer by as much as the clock lost.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import tries
from vel_tutor_mcp.store.step_tasks import PARKED
from vel_tutor_mcp.store.tables import tasks
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries

# By so much the clocks of machines on one database may differ.
SLACK = timedelta(minutes=1)
# More than any pause between two attempts, and than any sender has one in hand.
_LONGEST_PAUSE = timedelta(minutes=10)


async def end_waits(tx: Transaction, now: datetime) -> None:
    """Make due what waits since a time that has not come yet, and forget tries of such a time."""
    since = tasks.c.updated_at > now + SLACK
    waiting = sa.and_(tasks.c.status == TaskStatus.PENDING, since, tasks.c.not_before < PARKED)
    await tx.execute(tasks.update().where(waiting).values(not_before=None))
    next_at = webhook_deliveries.c.next_at
    await tx.execute(webhook_deliveries.update().where(next_at > now + _LONGEST_PAUSE).values(next_at=now))
    await tx.execute(tries.delete().where(tries.c.at > now + SLACK))
