"""What is at hand where a line is logged: the ids of a request, task, run and attempt, as far as they are known."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})
_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=_NOTHING)


def at_hand() -> Mapping[str, str]:
    """The ids by what they are of, such as `task`."""
    return _ids.get()


def take_up(**ids: str | None) -> None:
    """From now on this asyncio task, and what it begins, is about these; None: about none of the kind."""
    merged = {**_ids.get(), **ids}
    _ids.set({name: one for name, one in merged.items() if one is not None})
