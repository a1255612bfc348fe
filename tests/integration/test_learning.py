"""What happens to answers teaches the router, once each, in the transaction that stores it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import numpy as np
import pytest
import sqlalchemy as sa
from ending import answered, begun, begun_again, concluded, decision_of, opened
from noted import Services, first_rows

from vel_tutor_mcp.errors import ProviderError
from vel_tutor_mcp.models import (
    Decision,
    Evidence,
    FailureKind,
    Principal,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.routing.book import Ended, Lost
from vel_tutor_mcp.routing.learning import weight_of_rating
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.answers import Job
from vel_tutor_mcp.store import evidence, history, people
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.tables import ratings, route_decisions

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "required": ["a"]}


@pytest.fixture
async def me(database: Database) -> Principal:
    return await first_rows(database)


async def failed(job: Job, kind: FailureKind) -> None:
    """A call fails, and that is stored twice."""
    call, failure = await opened(job), ProviderError("No.", kind=kind)
    for _ in range(2):
        await job.book._fail(call, Ended(completion=None, failure=failure, total_ms=5, breaker=None))


async def known(database: Database, me: Principal) -> dict[tuple[str, str], Evidence]:
    async with database.read(INSTALLATION) as tx:
        return await evidence.of_type(tx, me.organisation_id, TaskType.GENERAL)


async def counted(database: Database, me: Principal) -> list[tuple[float, float]]:
    """For how many good and bad answers the feedback on each model counts."""
    return [(round(row.good, 3), round(row.bad, 3)) for row in (await known(database, me)).values()]


async def test_an_answer_without_feedback_teaches_nothing(
    services: Services, me: Principal, database: Database
) -> None:
    assert (await answered(services, me)).status is TaskStatus.COMPLETED
    assert await known(database, me) == {}


@pytest.mark.parametrize(("rating", "counts"), [(5, (1, 0)), (4, (0.75, 0)), (3, (0.25, 0.25)), (1, (0, 1))])
async def test_a_rating_is_evidence_of_the_model_that_answered(
    services: Services, me: Principal, database: Database, rating: int, counts: tuple[float, float]
) -> None:
    task = await answered(services, me)
    await services.tasks.rate(me, task.id, rating)

    assert await counted(database, me) == [counts]
    assert list(await known(database, me)) == [(task.provider, task.model)]


async def test_a_changed_rating_replaces_what_the_earlier_one_taught(
    services: Services, me: Principal, database: Database
) -> None:
    task, other = await answered(services, me), await answered(services, me)
    await services.tasks.rate(me, other.id, 5)
    for rating in (5, 1, 1, 2):
        await services.tasks.rate(me, task.id, rating)

    assert await counted(database, me) == [(1, 0.75)]


async def test_a_rating_of_before_there_was_evidence_takes_nothing_back(
    services: Services, me: Principal, database: Database
) -> None:
    task, other = await answered(services, me), await answered(services, me)
    await services.tasks.rate(me, other.id, 5)
    async with database.write(INSTALLATION) as tx:
        old = {"task_id": task.id, "owner_id": me.user_id, "organisation_id": me.organisation_id, "rating": 5}
        await tx.execute(ratings.insert(), old | {"created_at": record.now() - timedelta(days=9)})
    await services.tasks.rate(me, task.id, 1)

    assert await counted(database, me) == [(1, 1)]


async def test_two_people_who_rate_an_answer_count_twice(services: Services, me: Principal, database: Database) -> None:
    task = await answered(services, me)
    async with database.write(INSTALLATION) as tx:
        colleague = await people.local_principal(tx, "colleague", record.now())
    for who in (me, colleague):
        await services.tasks.rate(who, task.id, 1)

    assert await counted(database, me) == [(0, 2)]


async def test_however_often_ratings_change_only_the_last_of_each_person_and_task_counts(
    services: Services, me: Principal, database: Database
) -> None:
    tasks = [await answered(services, me) for _ in range(3)]
    async with database.write(INSTALLATION) as tx:
        people_asked = [me, await people.local_principal(tx, "colleague", record.now())]
    random, last = Random(4), {}
    for _ in range(25):
        who, task, rating = random.choice(people_asked), random.choice(tasks), random.randint(1, 5)
        await services.tasks.rate(who, task.id, rating)
        last[who.user_id, task.id] = weight_of_rating(rating)

    assert len({(task.provider, task.model) for task in tasks}) == 1
    good, bad = (sum(weights) for weights in zip(*last.values(), strict=True))
    assert await counted(database, me) == [(good, bad)]


async def test_an_answer_that_matches_its_schema_is_weakly_good_once(
    services: Services, me: Principal, database: Database
) -> None:
    await answered(services, me, response_schema=SCHEMA)
    assert await counted(database, me) == [(0.25, 0)]


async def test_an_answer_that_fails_its_schema_is_bad_once(
    services: Services, me: Principal, database: Database
) -> None:
    await failed(await begun(services, me, response_schema=SCHEMA), FailureKind.INVALID_OUTPUT)
    assert await counted(database, me) == [(0, 1)]


@pytest.mark.parametrize(
    "kind", [FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR, FailureKind.TIMEOUT, FailureKind.CONNECTION]
)
async def test_what_the_infrastructure_does_says_nothing_of_quality(
    services: Services, me: Principal, database: Database, kind: FailureKind
) -> None:
    await failed(await begun(services, me, response_schema=SCHEMA), kind)
    assert await known(database, me) == {}


@pytest.mark.parametrize(("heard", "counts"), [("Hel", [(0, 0.25)]), ("", [])])
async def test_a_task_that_was_stopped_in_its_answer_and_is_asked_again_is_weakly_bad(
    services: Services, me: Principal, database: Database, heard: str, counts: list[tuple[float, float]]
) -> None:
    job = await begun(services, me)
    call = await opened(job)
    call.heard.append(heard)
    running = asyncio.create_task(asyncio.Event().wait())
    running.cancel()
    await asyncio.wait({running})
    await services.answers._conclude(job, running)  # type: ignore[arg-type]
    assert await known(database, me) == {}
    await services.tasks.retry(me, job.subject.task.id)

    assert await counted(database, me) == counts


async def test_a_run_that_a_crash_cut_teaches_once_when_it_is_begun_again(
    services: Services, me: Principal, database: Database
) -> None:
    job = await begun(services, me, response_schema=SCHEMA)
    await failed(job, FailureKind.INVALID_OUTPUT)
    await opened(job)
    again = await begun_again(services, job.subject.task)  # books the open call as cut
    await concluded(services, again, await opened(again))

    assert await counted(database, me) == [(0.25, 1)]


async def test_a_call_whose_end_is_stored_twice_stands_in_the_history_once(
    services: Services, me: Principal, database: Database
) -> None:
    job = await begun(services, me)
    await failed(job, FailureKind.SERVER_ERROR)
    overtaken, lost = await opened(job), Lost(winner=job.decision.candidates[1], total_ms=5, sent=True)
    for _ in range(2):
        await job.book._lose(overtaken, lost)

    async with database.read(INSTALLATION) as tx:
        told = [event.kind for event in await history.events(tx, job.subject.task.id)]
    assert (told.count("failed_attempt"), told.count("lost_race")) == (1, 1)


async def explained(services: Services, me: Principal) -> Decision:
    return await services.answers._routes.explain(me, "Say hello", "default", TaskType.GENERAL, None)


async def test_bad_ratings_move_the_next_decision_and_what_route_explain_says_of_it(
    services: Services, me: Principal, database: Database
) -> None:
    usual = await answered(services, me)
    for _ in range(12):
        task = await answered(services, me)
        if task.model != usual.model:
            break
        await services.tasks.rate(me, task.id, 1)

    assert task.model != usual.model
    assert (await decision_of(database, task)).candidates == (await explained(services, me)).candidates


async def test_a_task_may_explore_and_route_explain_never_does(
    services: Services, me: Principal, database: Database
) -> None:
    routes, usual = services.answers._routes, await explained(services, me)
    routes._exploration, routes._chance = 1.0, np.random.default_rng(5)
    made = [await decision_of(database, await answered(services, me)) for _ in range(10)]

    explored = [decision for decision in made if decision.explored]
    assert explored
    assert all(decision.candidates[0].name != usual.candidates[0].name for decision in explored)
    assert all(0 < decision.propensity < 1 for decision in made)
    assert await explained(services, me) == usual


async def test_a_decision_is_stored_with_its_propensity_and_an_old_one_is_still_read(
    services: Services, me: Principal, database: Database
) -> None:
    task = await answered(services, me)

    usual = await decision_of(database, task)
    drawn = replace(usual, propensity=0.013, explored=True)
    plain = history._plain(drawn)
    async with database.write(INSTALLATION) as tx:
        await tx.execute(route_decisions.update(), {"decision": plain})
    assert await decision_of(database, task) == drawn
    for name in ("propensity", "explored"):
        del plain[name]
    for candidate in plain["candidates"]:
        del candidate["evidence"]
    async with database.write(INSTALLATION) as tx:
        await tx.execute(sa.update(route_decisions), {"decision": plain})
    assert await decision_of(database, task) == usual
