"""What is told of a task or run while it runs, what is kept of that, and what can be followed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class News:
    """What is told of a task or run while it runs. `percent` 0-100; `passing` news (tokens so far) ends with the next.

    `ended` says that whoever waits should look: it has ended, or a run waits for a person.
    """

    percent: float
    message: str
    passing: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One line of a task's history."""

    kind: str
    message: str
    percent: int
    at: datetime


class Followed(StrEnum):
    """What can be followed: a task, its output alone, a run, or somebody's newest tasks or templates."""

    TASK = "task"
    OUTPUT = "output"
    RUN = "run"
    RECENT = "recent"
    TEMPLATES = "templates"
