"""Room for connections: how many there may be, altogether and of one subscriber, and who gives way when it is used up.

Whatever happens to a connection costs the same however many there are, so that a flood is no more work than its number.
"""

from collections import OrderedDict
from typing import Protocol

MOST_CONNECTIONS, MOST_OF_ADDRESS = 2000, 400


class Guest(Protocol):
    """A connection."""

    @property
    def subscriber(self) -> str:
        """Whose it is, by the address; empty where that tells nothing."""

    def leave(self) -> None:
        """Close it, and take it out of the room."""


class Room:
    """Who is inside; of those who have no request under way, whoever has had none the longest gives way."""

    def __init__(self, most: int = MOST_CONNECTIONS, most_of_address: int = MOST_OF_ADDRESS) -> None:
        self._all = _Crowd(most)
        self._most_of_address = most_of_address
        self._of: dict[str, _Crowd] = {}

    def __len__(self) -> int:
        return len(self._all.inside)

    def enter(self, guest: Guest) -> bool:
        """Whether there is room for one more idle guest, or was made; then they are inside."""
        subscriber = guest.subscriber
        theirs = self._of.get(subscriber) or _Crowd(self._most_of_address)
        if (subscriber and not theirs.finds_room()) or not self._all.finds_room():
            return False
        # Only now: where their last guest has just given way, `leave` has taken their crowd out.
        if subscriber:
            self._of[subscriber] = theirs
        for crowd in self._crowds(guest):
            crowd.inside.add(guest)
            crowd.idle[guest] = None
        return True

    def is_busy(self, guest: Guest) -> None:
        for crowd in self._crowds(guest):
            crowd.idle.pop(guest, None)

    def is_idle(self, guest: Guest) -> None:
        """From now on."""
        for crowd in self._crowds(guest):
            # An answer may end after its connection has left; it would be counted as idle for ever.
            if guest in crowd.inside:
                crowd.idle[guest] = None
                crowd.idle.move_to_end(guest)

    def leave(self, guest: Guest) -> None:
        """Take them out, wherever they are; no effect on who is not inside."""
        for crowd in self._crowds(guest):
            crowd.idle.pop(guest, None)
            crowd.inside.discard(guest)
        theirs = self._of.get(guest.subscriber)
        if theirs is not None and not theirs.inside:
            del self._of[guest.subscriber]

    def _crowds(self, guest: Guest) -> "tuple[_Crowd, ...]":
        theirs = self._of.get(guest.subscriber)
        return (self._all,) if theirs is None else (self._all, theirs)


class _Crowd:
    def __init__(self, most: int) -> None:
        self._most = most
        self.inside: set[Guest] = set()
        self.idle: OrderedDict[Guest, None] = OrderedDict()  # the first one is idle for the longest time

    def finds_room(self) -> bool:
        """Whether one more may come, somebody idle having left if need be."""
        if len(self.inside) >= self._most and self.idle:
            next(iter(self.idle)).leave()
        return len(self.inside) < self._most
