"""Who may stay where there are many: as a look through all of them would say it, whatever happens in what order."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.doors.room import Room

MOST, MOST_OF_ADDRESS = 5, 3


@dataclass(eq=False)
class Visitor:
    subscriber: str
    room: Room
    left: bool = False
    idle: bool = True

    def leave(self) -> None:
        self.left = True
        self.room.leave(self)


@dataclass
class Expected:
    """The same by looking through everybody, the longest idle one first."""

    guests: list[Visitor] = field(default_factory=list)

    def gives_way(self, subscriber: str) -> tuple[Visitor | None, bool]:
        """Who must leave so that one more may come, and whether they may."""
        beside = [guest for guest in self.guests if subscriber and guest.subscriber == subscriber]
        for crowd, most in ((beside, MOST_OF_ADDRESS), (self.guests, MOST)):
            if len(crowd) >= most:
                found = next((guest for guest in crowd if guest.idle), None)
                return found, found is not None
        return None, True


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.sampled_from("eeebil"), st.sampled_from(["", "a", "b"]), st.integers(0, 9)), max_size=60))
def test_the_longest_idle_one_gives_way_and_nobody_who_is_served(acts: list[tuple[str, str, int]]) -> None:
    room, expected = Room(MOST, MOST_OF_ADDRESS), Expected()

    def enter(subscriber: str) -> None:
        leaving, may = expected.gives_way(subscriber)
        visitor = Visitor(subscriber, room)
        assert room.enter(visitor) is may
        if leaving:
            assert leaving.left
            expected.guests.remove(leaving)
        if may:
            expected.guests.append(visitor)

    def change(guest: Visitor, what: Callable[[Visitor], None], *, idle: bool) -> None:
        what(guest)
        guest.idle = idle
        expected.guests.remove(guest)
        expected.guests.append(guest)

    for act, subscriber, which in acts:
        guest = expected.guests[which % len(expected.guests)] if expected.guests else None
        if act == "e":
            enter(subscriber)
        elif guest and act == "l":
            room.leave(guest)
            expected.guests.remove(guest)
        elif guest:
            change(guest, room.is_busy if act == "b" else room.is_idle, idle=act == "i")
        assert not any(guest.left for guest in expected.guests)
    for guest in expected.guests:
        room.leave(guest)
    assert not room._of


def test_who_was_refused_or_has_left_counts_nowhere() -> None:
    room = Room(1, 1)
    busy = Visitor("a", room)
    assert room.enter(busy)
    room.is_busy(busy)
    refused = Visitor("a", room)
    assert not room.enter(refused)
    for step in (room.is_busy, room.is_idle, room.leave):
        step(refused)
    assert not room.enter(Visitor("b", room))
    room.leave(busy)
    room.is_idle(busy)
    assert room.enter(Visitor("b", room))
