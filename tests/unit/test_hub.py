import asyncio

import pytest
from waits import turns

from vel_tutor_mcp.news import News
from vel_tutor_mcp.services.hub import Hub, Listener

pytestmark = pytest.mark.anyio

SUBMITTED, ROUTED = News(0, "submitted"), News(10, "routed")
TEN, TWENTY = News(40, "about 10 tokens so far", passing=True), News(50, "about 20 tokens so far", passing=True)
ENDED = News(100, "answered", ended=True)


def heard(*told: News) -> Listener:
    listener = Listener()
    for news in told:
        listener.hear(news)
    return listener


@pytest.mark.parametrize(
    ("told", "news"),
    [
        ([], None),
        ([SUBMITTED], SUBMITTED),
        ([SUBMITTED, ROUTED], News(10, "submitted; routed")),
        ([ROUTED, SUBMITTED], News(10, "routed; submitted")),
        ([TEN], News(40, "about 10 tokens so far")),
        ([TEN, TWENTY], News(50, "about 20 tokens so far")),
        ([ROUTED, TEN, TWENTY], News(50, "routed; about 20 tokens so far")),
        ([TEN, ENDED], ENDED),
        ([TEN, ROUTED, TWENTY], News(50, "routed; about 20 tokens so far")),
        ([ROUTED, ENDED], News(100, "routed; answered", ended=True)),
    ],
)
def test_what_was_heard_is_told_as_one(told: list[News], news: News | None) -> None:
    assert heard(*told).take() == news


def test_nothing_is_told_twice() -> None:
    listener = heard(SUBMITTED)
    assert listener.take() == SUBMITTED
    assert listener.take() is None
    listener.hear(ROUTED)
    assert listener.take() == ROUTED


def test_everyone_who_listens_for_a_task_hears_of_it_and_nobody_else() -> None:
    hub = Hub(relay=lambda *_: None)
    with hub.listen("a") as first, hub.listen("a") as second, hub.listen("b") as other:
        hub.publish("a", SUBMITTED)
        assert [listener.take() for listener in (first, second, other)] == [SUBMITTED, SUBMITTED, None]


def test_news_that_nobody_listens_for_is_forgotten() -> None:
    hub = Hub(relay=lambda *_: None)
    hub.publish("a", SUBMITTED)
    with hub.listen("a") as listener:
        assert listener.take() is None
    hub.publish("a", ROUTED)
    assert listener.take() is None


def test_nothing_is_kept_of_a_task_that_nobody_listens_for() -> None:
    hub = Hub(relay=lambda *_: None)
    with hub.listen("a"):
        with hub.listen("a"), pytest.raises(ValueError, match="left early"):
            raise ValueError("left early")
        hub.publish("b", SUBMITTED)
        assert list(hub._listeners) == ["a"]
    assert list(hub._listeners) == []


async def test_a_wait_ends_with_news_that_came_before_it() -> None:
    await heard(SUBMITTED).wait(60)


async def test_a_wait_without_news_ends_by_itself() -> None:
    listener = heard(SUBMITTED)
    listener.take()
    await listener.wait(0.001)
    assert listener.take() is None


async def test_news_gather_again_after_a_look_that_was_not_the_last() -> None:
    """A run that asks for an approval is looked at, and may go on."""
    listener = heard(News(50, "waits for a decision", ended=True))
    await listener.pause(60)
    listener.take()
    listener.hear(ROUTED)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listener.pause(60), 0.05)


async def test_who_is_dismissed_looks_for_the_last_time_before_that_is_over() -> None:
    hub, looked = Hub(lambda *_: None), list[News | None]()

    async def follow() -> None:
        with hub.listen("a") as listener:
            await listener.wait(20)
            await turns(5)
            looked.append(listener.take())

    following = asyncio.create_task(follow())
    await turns()
    await hub.dismiss(20)
    assert [news is not None and news.ended for news in looked] == [True]
    await following


async def test_who_does_not_leave_is_not_waited_for_without_end() -> None:
    hub = Hub(lambda *_: None)
    with hub.listen("a"):
        await asyncio.wait_for(hub.dismiss(0.01), 20)
    await hub.dismiss(20)  # nobody is there
