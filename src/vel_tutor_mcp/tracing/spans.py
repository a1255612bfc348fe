"""Where spans are begun and ended. What becomes of them is the tracer's affair, and mostly there is none.

Nothing of OpenTelemetry is imported here: every layer may call this, and without a tracer a call costs next to nothing.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

Kind = Literal["internal", "server", "client"]
Attributes = Mapping[str, str | int | float | Sequence[str] | None]


class Span(Protocol):
    """A span that is open. None of what is told may be text that somebody wrote: prompts, answers, keys, addresses."""

    def tell(self, attributes: Attributes) -> None:
        """What is known by now; None where it is not."""

    def fail(self, error_type: str) -> None:
        """It ended in an error of this kind."""

    def rename(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a span comes from, other than from the span that is open: a `traceparent` as W3C writes it; None: nowhere.

    `trusted`: it is the parent; otherwise the span is only linked to it.
    """

    traceparent: str | None
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """A span of something that is over. Its error is its attribute `error.type`."""

    name: str
    kind: Kind
    attributes: Attributes
    began: datetime
    ended: datetime
    origin: Origin | None = None


class Tracer(Protocol):
    """What takes the spans."""

    def span(
        self, name: str, kind: Kind, attributes: Attributes, origin: Origin | None
    ) -> AbstractContextManager[Span]: ...

    def part(self, name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]: ...

    def record(self, past: Past) -> None: ...

    @property
    def lost(self) -> bool: ...

    def traceparent(self) -> str | None: ...

    def ids(self) -> Mapping[str, str]: ...

    def end(self) -> None: ...


class _Nothing:
    """The span of those that are not told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def tell(self, attributes: Attributes) -> None: ...

    def fail(self, error_type: str) -> None: ...

    def rename(self, name: str) -> None: ...


NOTHING = _Nothing()
_NONE: Attributes = {}
_tracer: Tracer | None = None


def send_to(tracer: Tracer | None) -> None:
    """From now on spans go there."""
    global _tracer  # noqa: PLW0603 - one process has one tracer, as it has one log
    _tracer = tracer


def on() -> bool:
    """Whether anybody takes spans."""
    return _tracer is not None


def lost() -> bool:
    """Whether the last spans that were sent were not taken."""
    return _tracer is not None and _tracer.lost


def span(
    name: str, kind: Kind = "internal", attributes: Attributes = _NONE, *, origin: Origin | None = None
) -> AbstractContextManager[Span]:
    """A span around what is done within, in the span that is open; an exception that leaves it is its error."""
    return NOTHING if _tracer is None else _tracer.span(name, kind, attributes, origin)


def part(name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]:
    """A span that is told within another one only, and that nothing is told to be within."""
    return NOTHING if _tracer is None else _tracer.part(name, kind, attributes)


def record(past: Past) -> None:
    """In the span that is open, unless it says where it comes from."""
    if _tracer is not None:
        _tracer.record(past)


def traceparent() -> str | None:
    """The open span, as W3C writes it, for whoever goes on with it later; None where there is none."""
    return None if _tracer is None else _tracer.traceparent()


def ids() -> Mapping[str, str]:
    """The ids of the open span and its trace, for the log."""
    return {} if _tracer is None else _tracer.ids()


def end() -> None:
    """Send what was not sent yet, for at most two seconds: for a process that leaves."""
    if _tracer is not None:
        _tracer.end()


def place(frames_up: int) -> str:
    """The name of the function that is being run so many frames above the caller."""
    frame = sys._getframe(frames_up + 1)  # noqa: SLF001 - what `inspect` would do a hundred times slower
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
