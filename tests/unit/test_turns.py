"""Whose turn it is, as a table; then what must hold for whoever waits."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import Limits, Work
from vel_tutor_mcp.store.turns import Waiting, in_turn

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RANKS = {"low": 0, "medium": 1, "high": 2}


def waiting(*lines: str) -> list[Waiting]:
    """Tasks in the order of their age, each line as `owner task [priority] [@provider]`."""
    return [_waiting(line.split(), NOON + timedelta(seconds=age)) for age, line in enumerate(lines)]


def _waiting(words: list[str], since: datetime) -> Waiting:
    provider = next((word[1:] for word in words if word.startswith("@")), None)
    rank = next((RANKS[word] for word in words if word in RANKS), RANKS["medium"])
    return Waiting(Work(words[1], 1), words[0], rank, since, provider)


@pytest.mark.parametrize(
    ("lines", "in_progress", "room", "places", "chosen"),
    [
        pytest.param([], {}, 4, {}, "", id="nobody waits"),
        pytest.param(["ann a1"], {}, 0, {}, "", id="no room"),
        pytest.param(["ann a1", "ann a2", "ann a3"], {}, 2, {}, "a1 a2", id="the older ones first"),
        pytest.param(["ann a1 low", "ann a2", "ann a3 high"], {}, 2, {}, "a3 a2", id="the higher priority first"),
        pytest.param(["ann a1", "ann a2", "bob b1"], {}, 2, {}, "a1 b1", id="a place for each user"),
        pytest.param(["ann a1", "bob b1"], {"ann": 3}, 1, {}, "b1", id="who has fewer in progress"),
        pytest.param(["ann a1 high", "bob b1 low"], {"ann": 1}, 1, {}, "b1", id="fairness goes before priority"),
        pytest.param(["ann a1", "bob b1 high"], {}, 1, {}, "b1", id="among equals the higher priority"),
        pytest.param(["ann a1", "bob b1"], {"ann": 1, "bob": 1}, 1, {}, "a1", id="among equals the older task"),
        pytest.param(["ann a1", "ann a2", "bob b1"], {"ann": 1}, 3, {}, "b1 a1 a2", id="one by one"),
        pytest.param([f"ann a{n}" for n in range(9)], {"ann": 2}, 9, {}, "a0 a1", id="at most four of a user"),
        pytest.param(["ann a1"], {"ann": 4}, 9, {}, "", id="none beyond the limit of a user"),
        pytest.param(["ann a1 @groq", "ann a2 @groq"], {}, 9, {"groq": 1}, "a1", id="as many as are free there"),
        pytest.param(["ann a1 @groq", "ann a2"], {}, 9, {"groq": 0}, "a2", id="past those who wait for a provider"),
        pytest.param(["ann a1 @groq", "ann a2 @openai"], {}, 9, {"groq": 0}, "a2", id="a provider without limit"),
        pytest.param(
            ["ann a1 @groq", "bob b1 @groq", "ann a2 @groq"], {}, 9, {"groq": 2}, "a1 b1", id="fair at a provider"
        ),
        pytest.param(
            ["ann a1 high @groq", "bob b1 @groq", "bob b2"], {}, 9, {"groq": 1}, "a1 b2", id="who lost a place goes on"
        ),
    ],
)
def test_free_places_go_to_those_whose_turn_it_is(
    lines: list[str], in_progress: dict[str, int], room: int, places: dict[str, int], chosen: str
) -> None:
    tasks = in_turn(waiting(*lines), in_progress, room=room, of_owner=4, places=places)

    assert [task.work.task_id for task in tasks] == chosen.split()


OWNERS, PROVIDERS = st.sampled_from(["ann", "bob", "cid", "dee"]), st.sampled_from(["groq", "openai"])
LINES = st.lists(
    st.tuples(OWNERS, st.sampled_from(sorted(RANKS)), st.none() | PROVIDERS).map(
        lambda line: (line[0], line[1], f"@{line[2]}" if line[2] else "")
    ),
    max_size=40,
)
COUNTS = st.integers(0, 8)


def made_of(lines: list[tuple[str, str, str]]) -> list[Waiting]:
    return waiting(*(f"{owner} task{number} {rank} {at}" for number, (owner, rank, at) in enumerate(lines)))


@given(
    lines=LINES,
    in_progress=st.dictionaries(OWNERS, COUNTS),
    room=COUNTS,
    of_owner=st.integers(1, 8),
    places=st.dictionaries(PROVIDERS, COUNTS),
)
def test_no_limit_is_passed_and_no_place_is_idle_while_somebody_could_have_it(
    lines: list[tuple[str, str, str]],
    in_progress: dict[str, int],
    room: int,
    of_owner: int,
    places: dict[str, int],
) -> None:
    tasks = made_of(lines)
    chosen = in_turn(tasks, in_progress, room=room, of_owner=of_owner, places=places)
    given_to, given_at = Counter(task.owner_id for task in chosen), Counter(task.provider for task in chosen)

    assert len(chosen) <= room
    assert len({task.work for task in chosen}) == len(chosen)
    assert all(in_progress.get(owner, 0) + count <= of_owner for owner, count in given_to.items())
    assert all(given_at[provider] <= free for provider, free in places.items())
    for task in tasks:
        could = in_progress.get(task.owner_id, 0) + given_to[task.owner_id] < of_owner
        place = task.provider not in places or given_at[task.provider] < places[task.provider or ""]
        assert task in chosen or len(chosen) == room or not (could and place)


@given(lines=LINES, room=st.integers(0, 40), before=COUNTS)
def test_users_who_began_as_equals_and_still_wait_differ_by_one_task_at_most(
    lines: list[tuple[str, str, str]], room: int, before: int
) -> None:
    tasks = made_of(lines)
    in_progress = {task.owner_id: before for task in tasks}
    chosen = in_turn(tasks, in_progress, room=room, of_owner=40, places={})

    still = {task.owner_id for task in tasks if task not in chosen}
    given_to = [Counter(task.owner_id for task in chosen)[owner_id] for owner_id in still]
    assert max(given_to, default=0) - min(given_to, default=0) <= 1


@pytest.mark.parametrize(
    ("work", "work_id"),
    [(Work("t", 1), "t:1"), (Work("t", 2), "t:2"), (Work("t", 2, 1), "t:2"), (Work("t", 1, 3), "t:1:3")],
)
def test_work_is_named_by_its_task_its_attempt_set_and_its_turn(work: Work, work_id: str) -> None:
    assert work.id == work_id
    assert Work.of(work_id) == work


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(concurrent=2), "limit 2"),
        (Limits(per_minute=10), "limit 10 a minute"),
        (Limits(concurrent=2, per_minute=10), "limit 2 and 10 a minute"),
    ],
)
def test_limits_are_told_in_words(limits: Limits, told: str) -> None:
    assert str(limits) == told
