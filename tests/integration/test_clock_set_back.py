"""The clock is set back an hour under the open product: all ends and is booked once, and nobody waits an hour longer.

What counts seconds (`time.monotonic`) goes on, as it does where a person or a time server sets a clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from receivers import receiving
from server import soon
from time_machine import Traveller, travel
from world import Providers

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import TooManyTries
from vel_tutor_mcp.models import Principal, TaskRequest
from vel_tutor_mcp.services import throttle
from vel_tutor_mcp.services.rates import Quota
from vel_tutor_mcp.services.webhooks.course import Pace
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.standing import Period, Scope

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> Iterator[Traveller]:
    """Goes on from now, until it is moved."""
    with travel(datetime.now(UTC), tick=True) as clock:
        yield clock


async def test_what_is_at_work_while_the_clock_is_set_back_ends_once_and_is_booked_once(
    app: App, me: Principal, providers: Providers, clock: Traveller
) -> None:
    clock.move_to(datetime.now(UTC).replace(hour=12) + timedelta(days=1))  # an hour before noon is of the same day
    await app.budgets.set(me, Scope.ORGANISATION, None, Period.DAY, 1.0)
    providers.groq.tokens_per_second, providers.groq.answer = 20, lambda _: "word " * 800
    made = [await app.tasks.submit(me, TaskRequest(prompt=f"Say {number}")) for number in range(3)]
    await soon(providers.groq.until(lambda groq: groq.open == 3))
    clock.shift(-HOUR)
    providers.groq.tokens_per_second = 0
    made.append(await app.tasks.submit(me, TaskRequest(prompt="Say more")))
    done = [await app.tasks.follow(me, task.id, 30) for task in made]
    costs = sum(attempt.cost_nanousd or 0 for told in done for attempt in told.attempts)
    (earlier,) = await app.budgets.list(me)
    clock.shift(HOUR)
    (later,) = await app.budgets.list(me)

    assert [[attempt.outcome for attempt in told.attempts] for told in done] == [["completed"]] * 4
    assert done[0].task.created_at > done[3].task.created_at
    assert len(providers.groq.requests) == 4
    assert (earlier.standing.spent, earlier.standing.reserved) == (costs, 0)
    assert (later.standing.spent, later.standing.reserved) == (costs, 0)
    assert (await app.audit.verify(me)).ok


async def test_what_waits_for_a_time_waits_no_longer(settings: Settings, clock: Traveller) -> None:
    limited = {"catalog": {"providers": {"groq": {"max_per_minute": 1}}}, "openai_api_key": None}
    here = settings.model_copy(update=limited | {"private_networks": "127.0.0.1/32"})
    async with receiving() as receiver, open_app(here) as app:
        me, app.webhooks.sender._pace = app.local_principal, Pace(pauses=(2.0, 2.0))
        await app.webhooks.create(me, receiver.url, ["task.completed"])
        receiver.answers = ["503 Away"]
        await app.tasks.submit(me, TaskRequest(prompt="Say one"))
        (refused,) = await receiver.heard(1)
        waits = await app.tasks.submit(me, TaskRequest(prompt="Say two"))
        clock.shift(-HOUR)
        assert (await app.tasks.follow(me, waits.id, 30)).task.status == "completed"
        assert sorted(sent.id for sent in await receiver.heard(3)).count(refused.id) == 2


async def test_who_asked_too_often_may_ask_again_when_their_time_is_over(
    app: App, me: Principal, clock: Traveller
) -> None:
    async def tries(times: int) -> None:
        for _ in range(times):
            await throttle.admit(app._parts.database, ["somebody"], refused)

    async def refused(_: object) -> None:
        pass

    await tries(throttle.LIMIT)
    with pytest.raises(TooManyTries):
        await tries(1)
    app.rates._defaults = type(app.rates._defaults)(1, 1)
    await app.rates.admit(me, Quota.TASK)
    clock.shift(-HOUR)
    await app._care._heed_the_clock()
    await tries(1)
    await app.rates.admit(me, Quota.TASK)
