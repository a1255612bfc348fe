"""What of a Task Master project may be begun, what waits, and what is wrong with it, as tables."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.taskmaster.graph import FaultKind, Graph, Standing
from vel_tutor_mcp.taskmaster.items import SETTLED, Importance, Item, Status, Tag

LETTERS: dict[str, Status | None] = {
    "p": Status.PENDING,
    "i": Status.IN_PROGRESS,
    "d": Status.DONE,
    "c": Status.CANCELLED,
    "b": Status.BLOCKED,
    "r": Status.REVIEW,
    "f": Status.DEFERRED,
    "?": None,
}
IMPORTANCE = {"!": Importance.CRITICAL, "-": Importance.LOW}


def graph(text: str) -> Graph:
    """From `1d 2p(1) 2.1p!`: an id, its status, `!` or `-` for its importance, in parentheses what it depends on."""
    items: dict[str, Item] = {}
    twice = set()
    words = text.split()
    ids = [word.partition("(")[0].rstrip("!-")[:-1] for word in words]
    for word, item_id in zip(words, ids, strict=True):
        head, _, needs = word.rstrip(")").partition("(")
        if item_id in items:
            twice.add(item_id)
        items[item_id] = Item(
            id=item_id,
            status=LETTERS[head.rstrip("!-")[-1]],
            importance=IMPORTANCE.get(head[-1], Importance.MEDIUM),
            dependencies=tuple(needs.split(",")) if needs else (),
            subtasks=tuple(other for other in ids if other.startswith(f"{item_id}.")),
            parent=item_id.partition(".")[0] if "." in item_id else None,
        )
    return Graph(Tag("master", items, frozenset(twice)))


@pytest.mark.parametrize(
    ("text", "ready", "blocked"),
    [
        ("1p 2p(1)", "1", "2"),
        ("1d 2p(1)", "2", ""),
        ("1c 2p(1)", "2", ""),
        *((f"1{letter} 2p(1)", "", "2") for letter in "irf"),
        ("1b 2p(1)", "", "1 2"),
        ("1? 2p(1)", "", "1 2"),
        ("1p(9)", "", "1"),
        ("1p(2) 2p(1)", "", "1 2"),
        ("1p(1)", "", "1"),
        ("1p 1.1p", "1.1", "1"),
        ("1p 1.1d", "1", ""),
        ("1i 1.1p 1.2p(1.1)", "1.1", "1.2"),
        ("1p 2p(1) 2.1p", "1", "2 2.1"),
        ("1p 1.1p 2p(1.1)", "1.1", "1 2"),
        *((f"1{letter} 1.1p", "", "1.1") for letter in "dcrf"),
        ("1b 1.1p", "", "1 1.1"),
        ("1p 1p 2p(1)", "", "1 2"),
        ("1d 1d 2p(1)", "", "2"),
    ],
)
def test_an_item_is_ready_once_nothing_is_left_to_wait_for(text: str, ready: str, blocked: str) -> None:
    made = graph(text)
    assert " ".join(made.ready) == ready
    assert " ".join(made.tag.items[name].id for name, at in made.standings.items() if at is Standing.BLOCKED) == blocked


@pytest.mark.parametrize(
    ("letter", "standing"),
    [
        ("p", Standing.READY),
        ("i", Standing.ACTIVE),
        ("r", Standing.ACTIVE),
        ("d", Standing.DONE),
        ("c", Standing.ASIDE),
        ("f", Standing.ASIDE),
        ("b", Standing.BLOCKED),
        ("?", Standing.BLOCKED),
    ],
)
def test_every_status_has_its_standing(letter: str, standing: Standing) -> None:
    assert graph(f"1{letter}").standings == {"1": standing}


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("10p 2p 1p", "1 2 10"),
        ("1p- 2p 3p!", "3 2 1"),
        ("1p! 2i 2.1p", "2.1 1"),
        ("1p! 2i- 2.1p 2.2p!", "2.1 2.2 1"),
        ("1p- 1.1p! 2p", "2 1.1"),
    ],
)
def test_what_goes_on_comes_before_what_matters_before_what_is_first(text: str, order: str) -> None:
    assert " ".join(graph(text).ready) == order


@pytest.mark.parametrize(
    ("text", "kind", "ids", "said"),
    [
        ("1p(9) 2p", FaultKind.MISSING, "1", "1 depends on 9, which does not exist"),
        ("1p 1.1p(1.7)", FaultKind.MISSING, "1.1", "1.1 depends on 1.7, which does not exist"),
        ("1p(1)", FaultKind.CYCLE, "1", "a cycle: 1 -> 1, each waits for the next"),
        ("1p(3) 2p(1) 3p(2)", FaultKind.CYCLE, "1 3 2", "a cycle: 1 -> 3 -> 2 -> 1, each waits for the next"),
        ("1p 1.1p(1)", FaultKind.CYCLE, "1 1.1", "a cycle: 1 -> 1.1 -> 1, each waits for the next"),
        ("1p 1.1p(2) 2p(1)", FaultKind.CYCLE, "1 1.1 2", "a cycle: 1 -> 1.1 -> 2 -> 1, each waits for the next"),
        ("1p 1p", FaultKind.TWICE, "1", "more than one item has the id 1"),
        ("1? 2?", FaultKind.STATUS, "1 2", "does not know the status of 1, 2"),
    ],
)
def test_a_fault_names_what_it_is_about(text: str, kind: FaultKind, ids: str, said: str) -> None:
    (fault,) = graph(text).faults
    assert (fault.kind, " ".join(fault.ids)) == (kind, ids)
    assert said in fault.text


def test_all_of_a_few_cycles_are_told_of_and_of_many_the_first() -> None:
    assert [fault.ids for fault in graph("1p(2) 2p(1) 3p(4) 4p(3) 5p(1)").faults] == [("1", "2"), ("3", "4")]
    many = graph(" ".join(f"{2 * pair + 1}p({2 * pair + 2}) {2 * pair + 2}p({2 * pair + 1})" for pair in range(50)))
    assert len(many.faults) == 10


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A tag of up to eight tasks with subtasks, which depend on anything, and a few on nothing that there is."""
    tasks = [str(number) for number in range(1, draw(st.integers(1, 8)) + 1)]
    ids = [*tasks, *(f"{task}.{sub}" for task in tasks for sub in range(1, draw(st.integers(0, 2)) + 1))]
    statuses = st.sampled_from([Status.PENDING, Status.PENDING, Status.DONE, Status.IN_PROGRESS, None])
    needs = st.lists(st.sampled_from([*ids, "99"]), max_size=2, unique=True).map(tuple)
    items = {
        name: Item(
            id=name,
            status=draw(statuses),
            dependencies=draw(needs),
            subtasks=tuple(other for other in ids if other.startswith(f"{name}.")),
            parent=name.partition(".")[0] if "." in name else None,
        )
        for name in ids
    }
    return Graph(Tag("master", items))


@settings(max_examples=examples(100))
@given(graphs())
def test_what_is_ready_waits_for_nothing_and_what_waits_says_for_what(made: Graph) -> None:
    items = made.tag.items
    for name, standing in made.standings.items():
        open_needs = [need for need in made.needs[name] if need not in items or items[need].status not in SETTLED]
        assert list(made.waits_for(name)) == open_needs
        if standing is Standing.READY:
            assert items[name].status is Status.PENDING
            assert not open_needs
    assert set(made.ready) == {name for name, standing in made.standings.items() if standing is Standing.READY}


@settings(max_examples=examples(100))
@given(graphs())
def test_a_cycle_is_a_way_round_and_without_one_all_can_be_done(made: Graph) -> None:
    cycles = [fault.ids for fault in made.faults if fault.kind is FaultKind.CYCLE]
    for ring in cycles:
        assert all(after in made.needs[before] for before, after in pairwise([*ring, ring[0]]))
    if not cycles:
        left = dict(made.needs)
        while free := [name for name, needs in left.items() if not set(needs) & left.keys()]:
            for name in free:
                del left[name]
        assert not left
