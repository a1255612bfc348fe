"""What a run takes on of a project, how it leaves it, and what agents are asked, as tables."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS, Priority, Task, TaskError, TaskStatus
from vel_tutor_mcp.services.record import now
from vel_tutor_mcp.taskmaster import briefs
from vel_tutor_mcp.taskmaster.errands import (
    Asked,
    Due,
    Errand,
    State,
    Turn,
    after_review,
    after_work,
    check_ready,
    due,
    output_of,
    told,
    vel_of,
)
from vel_tutor_mcp.taskmaster.graph import Graph
from vel_tutor_mcp.taskmaster.items import SETTLED, Item, Status, Tag
from vel_tutor_mcp.taskmaster.wishes import Wishes

LETTERS = {"p": Status.PENDING, "i": Status.IN_PROGRESS, "d": Status.DONE, "r": Status.REVIEW, "?": None}


def graph(text: str) -> Graph:
    """From `1d 2p(1) 2.1p`: an id, its status, and in parentheses what it depends on."""
    found = re.findall(r"([0-9.]+)([a-z?])(?:\(([0-9.,]+)\))?", text)
    ids = [item_id for item_id, _, _ in found]
    items = {
        item_id: Item(
            id=item_id,
            status=LETTERS[letter],
            dependencies=tuple(needs.split(",")) if needs else (),
            subtasks=tuple(other for other in ids if other.startswith(f"{item_id}.")),
            parent=item_id.partition(".")[0] if "." in item_id else None,
        )
        for item_id, letter, needs in found
    }
    return Graph(Tag("master", items))


def errand(item_id: str, state: State = State.ENDED, **more: Any) -> Errand:
    return Errand(run_id="run", step_id="step", item_id=item_id, number=0, title="", state=state, **more)


def taken(text: str) -> dict[str, Errand]:
    """From `1w 2`: `w` is worked on, the others have ended."""
    words = ((word.rstrip("w"), word.endswith("w")) for word in text.split())
    return {item_id: errand(item_id, State.WORKING if works else State.ENDED) for item_id, works in words}


def asked(what: str, parallel: int = 5) -> Asked:
    """`ready`, `next`, or ids."""
    return Asked(None if what in {"ready", "next"} else tuple(what.split()), what == "ready", parallel)


@pytest.mark.parametrize(
    ("text", "what", "before", "take", "left"),
    [
        ("1p 2p(1) 3p", "next", "", "1", ""),
        ("1d 2p 3p", "next", "1", "", ""),
        ("1p(9)", "next", "", "", ""),
        ("1p 2p(1) 3p", "ready", "", "1 3", "2"),
        ("1d 2p(1) 3i", "ready", "1 3w", "2", ""),
        ("1p 2p(1)", "ready", "1", "", "2"),  # it failed, and is not tried again
        ("1r 2p(1)", "ready", "1", "", "2"),
        ("1p 1.1p 1.2p(1.1)", "ready", "", "1.1", "1 1.2"),
        ("1p 2p(1) 3p", "2", "", "", "2"),
        ("1p 2p(1) 3p", "2 1", "", "1", "2"),
        ("1d 2p(1)", "2 1", "1", "2", ""),
        ("1d 2d", "2 1", "1 2", "", ""),
        ("1p 1.1p 1.2d 2p", "1", "", "1.1", "1"),
        ("1d 1.1d 1.2d 2p", "1", "1.1", "", ""),
        ("2p", "2 7", "2w", "", ""),  # 7 was removed since
    ],
)
def test_what_is_taken_on_next(text: str, what: str, before: str, take: str, left: str) -> None:
    found = due(graph(text), asked(what), taken(before))
    assert (found.take, found.left) == (tuple(take.split()), tuple(left.split()))


@pytest.mark.parametrize(
    ("what", "parallel", "take", "left"),
    [
        ("ready", 5, "3 1", "2"),
        ("ready", 1, "3", "1 2"),
        ("next", 5, "3", ""),
        ("3", 5, "3", ""),
        ("1", 5, "1", ""),
    ],
)
def test_what_was_claimed_and_given_up_is_begun_again_before_all_others(
    what: str, parallel: int, take: str, left: str
) -> None:
    found = due(graph("1p 2p(3) 3i"), asked(what, parallel), {}, claimed=["3"])
    assert (found.take, found.left) == (tuple(take.split()), tuple(left.split()))


@pytest.mark.parametrize(("going_on", "taken_now"), [("", 2), ("7w", 1), ("7w 8w", 0), ("7w 8w 9w", 0), ("7 8w", 1)])
def test_no_more_is_under_way_than_may_be_at_once(going_on: str, taken_now: int) -> None:
    found = due(graph("1p 2p 3p"), asked("ready", parallel=2), taken(going_on))
    assert found == Due(("1", "2")[:taken_now], ("1", "2", "3")[taken_now:], 3 + len(going_on.split()))


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_all_is_done_once_and_in_the_order_of_the_dependencies(data: st.DataObject) -> None:
    """A project without cycles, done item by item in any order that is offered, as Task Master keeps it."""
    count = data.draw(st.integers(1, 8))
    needs = {n: data.draw(st.sets(st.integers(1, n - 1), max_size=2)) if n > 1 else set() for n in range(1, count + 1)}
    items = {str(n): Item(id=str(n), dependencies=tuple(map(str, sorted(of)))) for n, of in needs.items()}
    done: list[str] = []
    errands: dict[str, Errand] = {}
    while len(done) < count:
        found = due(Graph(Tag("t", items)), asked("ready", parallel=2), errands)
        errands |= {item_id: errand(item_id, State.WORKING) for item_id in found.take}
        working = sorted(name for name, one in errands.items() if one.state is State.WORKING)
        item_id = data.draw(st.sampled_from(working))
        assert all(items[need].status in SETTLED for need in items[item_id].dependencies)
        errands[item_id] = errand(item_id)
        items[item_id] = replace(items[item_id], status=Status.DONE)
        done.append(item_id)
    assert sorted(done, key=int) == list(items)


@pytest.mark.parametrize(
    ("text", "what", "refusal", "sentence"),
    [
        ("1p 2?", "1", Conflict, "Nothing of this tag can be written; Task Master does not know the status of 2"),
        ("1p", "1 7", NotFound, "There is no item 7 in this tag; "),
        ("1p 2p(1)", "2", Conflict, "Nothing can be begun; 2 waits for 1; choose what"),
        ("1d", "1", Conflict, "Nothing can be begun; 1 is done; "),
        ("1i", "next", Conflict, "Nothing can be begun; nothing is ready; "),
        ("1i", "ready", Conflict, "Nothing can be begun; nothing is ready; "),
    ],
)
def test_what_cannot_be_begun_is_refused_with_the_reason(
    text: str, what: str, refusal: type[InputError], sentence: str
) -> None:
    with pytest.raises(refusal, match=f"^{re.escape(sentence)}"):
        check_ready(graph(text), asked(what))


def task(status: TaskStatus, *, partial: bool = False) -> Task:
    error = TaskError(code="no_answer", message="No model answered.") if status is TaskStatus.FAILED else None
    ids: dict[str, Any] = dict.fromkeys(("id", "owner_id", "organisation_id", "agent_id", "agent_name", "prompt"), "x")
    rest: dict[str, Any] = {"agent_version": 1, "task_type": None, "priority": Priority.MEDIUM, "parameters": {}}
    return Task(**ids, **rest, status=status, partial=partial, error=error, created_at=now(), updated_at=now())


@pytest.mark.parametrize(
    ("status", "partial", "reviewed", "turn", "code"),
    [
        (TaskStatus.COMPLETED, False, False, Turn(State.WRITING, Status.DONE), None),
        (TaskStatus.COMPLETED, False, True, Turn(State.REVIEWING), None),
        (TaskStatus.COMPLETED, True, True, Turn(State.WRITING, Status.REVIEW), "cut"),
        (TaskStatus.FAILED, False, True, Turn(State.WRITING, Status.PENDING), "no_answer"),
        (TaskStatus.CANCELLED, True, False, Turn(State.WRITING, Status.PENDING), "cancelled"),
    ],
)
def test_what_follows_the_work(status: TaskStatus, partial: bool, reviewed: bool, turn: Turn, code: str | None) -> None:
    found = after_work(task(status, partial=partial), reviewed=reviewed)
    assert (found.state, found.outcome, found.error and found.error.code) == (turn.state, turn.outcome, code)


@pytest.mark.parametrize(
    ("status", "verdict", "outcome", "code"),
    [
        (TaskStatus.COMPLETED, {"approved": True, "why": "Good."}, Status.DONE, None),
        (TaskStatus.COMPLETED, {"approved": False, "why": "Bad."}, Status.REVIEW, "not_approved"),
        (TaskStatus.COMPLETED, {"approved": "yes"}, Status.REVIEW, "no_verdict"),
        (TaskStatus.COMPLETED, "Good.", Status.REVIEW, "no_verdict"),
        (TaskStatus.FAILED, None, Status.REVIEW, "no_answer"),
        (TaskStatus.CANCELLED, None, Status.REVIEW, "cancelled"),
    ],
)
def test_what_follows_the_review(status: TaskStatus, verdict: Any, outcome: Status, code: str | None) -> None:
    found = after_review(task(status), verdict)
    assert (found.state, found.outcome, found.error and found.error.code) == (State.WRITING, outcome, code)


def test_an_output_counts_what_came_of_the_items() -> None:
    failed = errand("3", outcome=Status.PENDING, error=TaskError(code="no_answer", message="None."), lost=("2 of b",))
    ended = [errand("1", outcome=Status.DONE), errand("2", outcome=Status.REVIEW), failed, errand("4")]
    output = output_of([told(one, {0: "t", 1: "r"}, {"t": 10**9, "r": 5 * 10**8}) for one in ended], ["5"])

    assert {name: output[name] for name in ("done", "review", "failed", "left")} == {
        "done": 1,
        "review": 1,
        "failed": 2,
        "left": ["5"],
    }
    assert [row["status"] for row in output["items"]] == ["done", "review", "pending", None]
    assert output["items"][2] | {"task": "t", "review_task": "r", "cost_usd": 1.5} == output["items"][2]
    assert (output["items"][2]["lost"], output["items"][2]["error"]["code"]) == (["2 of b"], "no_answer")


def test_metadata_holds_texts_and_whole_numbers_alone() -> None:
    failed = errand("1", outcome=Status.PENDING, error=TaskError(code="x", message="It failed."))
    vel = vel_of(failed, {"task_id": "t", "model": None, "tokens_in": 3})
    assert vel == {"run_id": "run", "step_id": "step", "task_id": "t", "tokens_in": 3, "error": "It failed."}


def test_a_prompt_tells_the_item_its_task_and_what_it_builds_on() -> None:
    whole = Item(id="1", title="The house", description="Of wood.")
    part = Item(id="1.2", title="The roof", details="Red.", test_strategy="Rain.", parent="1")
    wall = Item(id="1.1", title="The walls")
    assert briefs.to_do(part, whole, [briefs.Result(wall, "Four walls."), briefs.Result(whole, "")]) == (
        "Do this task of a project: The roof\n\nIt is a part of the task 1: The house\nOf wood.\n\n"
        "# Details\n\nRed.\n\n# How it will be tested\n\nRain.\n\n# What it builds on\n\n"
        "## 1.1: The walls\n\nFour walls.\n\n## 1: The house\n\n(done; no result was kept)\n\n"
        "Answer with the result itself, complete and ready to be used by the tasks that build on it."
    )


def test_prompts_are_bounded_however_much_there_is_and_say_what_is_wanted() -> None:
    long = "x" * 200_000
    item = Item(id="1", title=long, description=long, details=long, test_strategy=long)
    cut = briefs.to_do(item, item, [briefs.Result(item, long)] * 50)
    assert len(cut) <= MAX_PROMPT_CHARACTERS
    assert cut.endswith("complete and ready to be used by the tasks that build on it.")
    assert len(briefs.to_judge(long, long)) <= MAX_PROMPT_CHARACTERS
    few = Item(id="1", title="x")
    assert len(briefs.to_do(few, None, [briefs.Result(few, long)] * 10)) < 26_000


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        (Wishes(), Asked(None, all_ready=False, parallel=5)),
        (Wishes(all_ready=True), Asked(None, all_ready=True, parallel=5)),
        (Wishes(ids=["2", "01", " 1.2", "1"]), Asked(("2", "1", "1.2"), all_ready=False, parallel=5)),
    ],
)
def test_what_is_wished(wishes: Wishes, found: Asked) -> None:
    assert wishes.asked() == found


@pytest.mark.parametrize(
    "wishes", [Wishes(ids=["1"], all_ready=True), Wishes(ids=[]), Wishes(ids=["a b"]), Wishes(ids=["1"] * 1001)]
)
def test_what_cannot_be_wished(wishes: Wishes) -> None:
    with pytest.raises(InputError, match="; "):
        wishes.asked()


def test_each_wish_has_a_workflow_of_its_own() -> None:
    wishes = [
        Wishes(),
        Wishes(all_ready=True),
        Wishes(ids=["1"]),
        Wishes(agent="a"),
        Wishes(review_agent="a"),
    ]
    assert len({wish.workflow()[0] for wish in wishes}) == len(wishes)
    assert Wishes(ids=["1"], tag="a").workflow() == Wishes(ids=["2"]).workflow()
