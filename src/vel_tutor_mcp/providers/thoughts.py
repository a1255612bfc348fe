"""The thoughts that some models write before their answer and into it, as `<think>...</think>`.

Deliberately taken off for every model: whether a model does so hangs on how its vendor serves it, not on its name.
"""

from enum import Enum, auto

_OPENING, _CLOSING = "<think>", "</think>"


class _Stage(Enum):
    BEGINNING = auto()
    THOUGHTS = auto()
    SPACE = auto()
    ANSWER = auto()


class Thoughts:
    """Takes them off an answer that arrives in pieces, which may be cut anywhere."""

    def __init__(self) -> None:
        self._stage = _Stage.BEGINNING
        self._held = ""

    def without(self, piece: str) -> str:
        """As much of the answer as this piece brings; empty while they go on, or while it may be them that begin."""
        if self._stage is _Stage.ANSWER:
            return piece
        self._held += piece
        self._pass_opening()
        self._pass_closing()
        self._pass_space()
        return self._taken_at(_Stage.ANSWER)

    def rest(self) -> str:
        """What was held back, once nothing more comes: too little to be thoughts, so it is the answer."""
        return self._taken_at(_Stage.BEGINNING)

    def _pass_opening(self) -> None:
        if self._stage is not _Stage.BEGINNING:
            return
        if self._held.startswith(_OPENING):
            self._stage = _Stage.THOUGHTS
        elif not _OPENING.startswith(self._held):
            self._stage = _Stage.ANSWER

    def _pass_closing(self) -> None:
        if self._stage is not _Stage.THOUGHTS:
            return
        _, closed, after = self._held.partition(_CLOSING)
        # The end may be the beginning of the mark; the rest need not be looked through again.
        self._held = after if closed else self._held[1 - len(_CLOSING) :]
        if closed:
            self._stage = _Stage.SPACE

    def _pass_space(self) -> None:
        if self._stage is not _Stage.SPACE:
            return
        self._held = self._held.lstrip()
        if self._held:
            self._stage = _Stage.ANSWER

    def _taken_at(self, stage: _Stage) -> str:
        if self._stage is not stage:
            return ""
        taken, self._held = self._held, ""
        return taken
