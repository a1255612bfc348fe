"""What clients are told of lasting work that they hold by its handle, in the Tasks extension's words (pure).

A handle is the id of a task or run. Work that is begun again after its end has a new one, `<id>:2` and so on: by the
extension an end is final.
"""

from collections.abc import Sequence
from typing import Any

from mcp.server.elicitation import render_elicitation_schema
from mcp_types import INTERNAL_ERROR, CallToolResult, ElicitRequest, ElicitRequestFormParams
from pydantic import BaseModel

from vel_tutor_mcp.doors.approvals import Decision, question
from vel_tutor_mcp.doors.reply import refused, task_replied
from vel_tutor_mcp.doors.run_reply import run_replied
from vel_tutor_mcp.models import ENDED, TaskStatus
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services.reports import Told, moment
from vel_tutor_mcp.services.run_reports import ToldRun, waiting
from vel_tutor_mcp.workflows.model import Run, RunEvent, RunStep

Work = Told | ToldRun

_STATES = {
    TaskStatus.PENDING: "working",
    TaskStatus.IN_PROGRESS: "working",
    TaskStatus.AWAITING_APPROVAL: "input_required",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.FAILED: "completed",  # the call has its answer, which says why
    TaskStatus.CANCELLED: "cancelled",
}
# Faults of the server's own, which the extension alone calls `failed`.
_FAULTS = frozenset({"internal", "recovered_too_often"})
_POLL_MS = 1000


def of(told: Work) -> str:
    """The handle of the work as it is now."""
    return _named(_subject(told).id, turn(told))


def turn(told: Work) -> int:
    """Which time of the work this is, from 1."""
    return len(_ends(told)) + (not told.status.ended)


def parts(handle: str) -> tuple[str, int]:
    """The id, and which time of its work is meant; 0 where there can be no such handle."""
    subject_id, _, number = handle.partition(":")
    meant = int(number) if number.isdecimal() else 1
    return subject_id, meant if _named(subject_id, meant) == handle else 0


def rests(told: Work, *, asks: bool) -> bool:
    """Whether the call that began it has its answer; a client that asks nobody is told what a person is to decide."""
    return told.status.ended or (told.status is TaskStatus.AWAITING_APPROVAL and not asks)


def result(told: Work) -> CallToolResult:
    """What the call gives in the end."""
    replied = task_replied(told) if isinstance(told, Told) else run_replied(told)
    replied.is_error = told.status is TaskStatus.FAILED
    return replied


def state(told: Work) -> dict[str, Any]:
    """How the work stands, without what it gives or asks."""
    subject = _subject(told)
    return {
        "taskId": of(told),
        "status": _STATES[told.status],
        "statusMessage": told.history[-1].message if told.history else told.status.value,
        "createdAt": moment(subject.created_at),
        "lastUpdatedAt": moment(subject.updated_at),
        "ttlMs": None,  # what is stored stays
        "pollIntervalMs": _POLL_MS,
    }


def whole(told: Work, *, asks: bool) -> dict[str, Any]:
    """How the work stands, with what it has given, or asks a client that `asks` its person."""
    shown = state(told)
    error = _subject(told).error
    if told.status is TaskStatus.FAILED and error and error.code in _FAULTS:
        return shown | {"status": "failed", "error": {"code": INTERNAL_ERROR, "message": error.message}}
    if told.status is TaskStatus.CANCELLED:
        return shown
    if rests(told, asks=asks):
        return shown | {"status": "completed", "result": _dumped(result(told))}
    return shown | _asked(told)


def earlier(told: Work, meant: int) -> dict[str, Any]:
    """How the work stood when it ended for that time; it has been begun again since."""
    end = _ends(told)[meant - 1]
    shown = state(told) | {
        "taskId": _named(_subject(told).id, meant),
        "status": _STATES[TaskStatus(end.kind)],
        "statusMessage": end.message,
        "lastUpdatedAt": moment(end.at),
    }
    if shown["status"] == "cancelled":
        return shown
    again = refused(f"It ended: {end.message}; it was begun again since, and goes on as {of(told)}; look at that.")
    return shown | {"result": _dumped(again)}


def questions(told: Work) -> dict[str, tuple[Run, RunStep]]:
    """The approvals that wait for a decision, by a key that no later asking of the same has."""
    if isinstance(told, Told):
        return {}
    return {f"{step.step_id}@{moment(step.started_at)}": (told.run, step) for step in waiting(told)}


def _asked(told: Work) -> dict[str, Any]:
    schema = render_elicitation_schema(Decision)
    forms = {
        key: ElicitRequest(params=ElicitRequestFormParams(message=question(run, step), requested_schema=schema))
        for key, (run, step) in questions(told).items()
    }
    return {"inputRequests": {key: _dumped(form) for key, form in forms.items()}} if forms else {}


def _named(subject_id: str, meant: int) -> str:
    return subject_id if meant == 1 else f"{subject_id}:{meant}"


def _subject(told: Work) -> Any:
    return told.task if isinstance(told, Told) else told.run


def _ends(told: Work) -> Sequence[TaskEvent | RunEvent]:
    """The lines of its history with which it ended, each time."""
    return [event for event in told.history if event.kind in ENDED and getattr(event, "step_id", None) is None]


def _dumped(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
