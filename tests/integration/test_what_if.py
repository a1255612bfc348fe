"""What another policy would have made of the tasks that were: decided again on real databases, without a call."""

from dataclasses import replace

import pytest
from ending import answered
from noted import Services, first_rows

from vel_tutor_mcp.models import Policy, Principal, Task
from vel_tutor_mcp.routing.evaluation import FEWEST_ROWS
from vel_tutor_mcp.services import what_if
from vel_tutor_mcp.services.what_if import WhatIf
from vel_tutor_mcp.store.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def replays(database: Database, services: Services) -> WhatIf:
    return WhatIf(database, services.answers._routes)


@pytest.fixture
async def me(database: Database) -> Principal:
    return await first_rows(database)


async def done(services: Services, me: Principal, count: int) -> list[Task]:
    return [await answered(services, me) for _ in range(count)]


async def test_the_policy_that_was_chooses_the_same_again(services: Services, me: Principal, replays: WhatIf) -> None:
    await done(services, me, 3)
    found = await replays.replay(me, "day", Policy.BALANCED)

    assert (found.decisions, found.same, found.is_cut) == (3, 3, False)
    assert (found.was, found.answered) == (found.would, 1)
    assert found.cost_nanousd > 0
    assert found.latency_ms == 5


async def test_another_policy_is_judged_by_what_is_expected_of_it(
    services: Services, me: Principal, replays: WhatIf
) -> None:
    await done(services, me, 2)
    found = await replays.replay(me, "day", Policy.QUALITY)

    assert found.same == 0
    assert found.would.cost_nanousd > found.was.cost_nanousd
    assert (found.would.good_enough or 0) > (found.was.good_enough or 1)


async def test_without_outcomes_it_says_how_many_are_missing(
    services: Services, me: Principal, replays: WhatIf
) -> None:
    (task,) = await done(services, me, 1)
    await services.tasks.rate(me, task.id, 4)
    found = await replays.replay(me, "day", Policy.CHEAPEST)

    assert (found.outcomes, found.outcome, found.estimate) == (1, 1, None)
    assert f"1 outcomes are known of at least {FEWEST_ROWS}" in found.text()


async def test_with_enough_outcomes_it_says_what_they_would_have_been(
    services: Services, me: Principal, replays: WhatIf
) -> None:
    for number, task in enumerate(await done(services, me, FEWEST_ROWS)):
        await services.tasks.rate(me, task.id, 3 if number % 6 == 0 else 5)
    estimate = (await replays.replay(me, "day", Policy.BALANCED)).estimate

    assert estimate is not None
    assert (estimate.rows, estimate.matching) == (FEWEST_ROWS, FEWEST_ROWS)
    assert estimate.mean == pytest.approx(11 / 12)
    assert estimate.low < 11 / 12 < estimate.high


async def test_of_many_decisions_the_newest_are_made_again(
    services: Services, me: Principal, replays: WhatIf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(what_if, "MOST_DECISIONS", 4)
    monkeypatch.setattr(what_if, "_AT_ONCE", 2)
    tasks = await done(services, me, 5)
    await services.tasks.rate(me, tasks[0].id, 1)  # of the oldest, which is left out
    found = await replays.replay(me, "day", Policy.BALANCED)

    assert (found.decisions, found.is_cut, found.outcomes) == (4, True, 0)
    assert found.text().startswith("The newest 4 decisions made again with the policy balanced")


async def test_only_decisions_of_tasks_that_one_may_see_are_made_again(
    services: Services, me: Principal, replays: WhatIf
) -> None:
    await done(services, me, 1)
    stranger = replace(me, user_id="7b8f3f0e-0000-4000-8000-000000000000", role="viewer")
    found = await replays.replay(stranger, "day", Policy.CHEAPEST)

    assert found.decisions == 0
    assert found.text() == "There was no decision to make again with the policy cheapest."
