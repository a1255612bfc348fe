"""Feedback on answers becomes evidence for the router, each time in the transaction that stores its cause.

So it counts exactly once: a cause that is stored already, after a crash or in a repeated change, adds nothing.
"""

from datetime import datetime

from vel_tutor_mcp.models import Evidence, FailureKind, Principal, Task
from vel_tutor_mcp.routing.learning import WEIGHTS, Cause, Weight, added, removed, weight_of_rating
from vel_tutor_mcp.store import evidence, ratings
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.evidence import Arm


def cause_of_ending(failure: FailureKind | None, *, has_schema: bool) -> Cause | None:
    """What the end of a call says of the model's quality, if anything."""
    if failure is FailureKind.INVALID_OUTPUT:
        return Cause.SCHEMA_FAILED
    return Cause.SCHEMA_MATCHED if failure is None and has_schema else None


async def learn(tx: Transaction, arm: Arm, cause: Cause, at: datetime) -> None:
    """Add to the evidence, in the transaction that stores the cause."""
    await evidence.put(tx, arm, added(await evidence.get(tx, arm), WEIGHTS[cause], at))


async def rate(
    tx: Transaction, principal: Principal, task: Task, rating: int, comment: str | None, at: datetime
) -> None:
    """Keep the rating of an answered task; what an earlier one of the principal added is taken back."""
    arm, weight = arm_of(task), weight_of_rating(rating)
    seen = await evidence.get(tx, arm)
    earlier = await ratings.added(tx, principal, task.id)
    if seen is not None and earlier is not None:
        seen = removed(seen, Weight(earlier.good, earlier.bad), earlier.at)
    await evidence.put(tx, arm, added(seen, weight, at))
    await ratings.keep(tx, principal, task.id, rating, comment, Evidence(good=weight.good, bad=weight.bad, at=at))


async def note_retry(tx: Transaction, task: Task, at: datetime) -> None:
    """A person wants the task done again: that says something of an answer that was stopped on its way."""
    if task.partial and task.model is not None:
        await learn(tx, arm_of(task), Cause.RETRIED, at)


def arm_of(task: Task) -> Arm:
    """Whose answer, to what type of task, the task has; it must have one."""
    task_type = task.task_type or task.inferred_type
    assert task_type is not None
    assert task.provider is not None
    assert task.model is not None
    return Arm(task.organisation_id, task_type, task.provider, task.model)
