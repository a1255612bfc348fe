"""What a task's answer is as a chat completion, whole or in pieces. (Pure.)"""

from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.doors.events import data_of
from vel_tutor_mcp.models import Task, TaskStatus
from vel_tutor_mcp.services.outputs import CUTS
from vel_tutor_mcp.services.reports import Told

DONE = "data: [DONE]\n\n"
# What a task that ended without an answer is told as, by its error's code. It has been tried as often as it is worth,
# and is not bought again: clients ask anew by themselves at 408, 409, 429 and 500 and above, unless the header says no.
_STATUSES = {"over_budget": 402, "no_candidate": 503, "invalid_input": 400}
_ENDED = 422
_NOT_ENDED = 503
NOT_AGAIN = {"x-should-retry": "false"}


def completion(told: Told) -> dict[str, Any]:
    message = {"role": "assistant", "content": told.task.output or "", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(told)}
    return _head(told.task, "chat.completion") | {"choices": [choice], "usage": usage(told)}


def failure(told: Told) -> tuple[int, str, str] | None:
    """Status, sentence and code where the task has no answer."""
    if told.status is TaskStatus.COMPLETED:
        return None
    error = told.task.error
    if error is not None:
        return _STATUSES.get(error.code, _ENDED), error.message, error.code
    code = told.status.value
    if not told.status.ended:
        why = (
            f"The task {told.task.id} is {code.replace('_', ' ')}; the server is being stopped; ask again, or read it."
        )
        return _NOT_ENDED, why, code
    # Under its key a request is answered by the same task for ever.
    again = "ask again, with another Idempotency-Key where it had one, or retry the task"
    return _ENDED, f"The task {told.task.id} was {code}; {again}.", code


def finish_reason(told: Told) -> str:
    last = told.history[-1].message if told.history else ""
    return next((reason for reason, cut in CUTS.items() if last.endswith(cut)), "stop")


def usage(told: Told) -> dict[str, int]:
    tokens_in = sum(attempt.tokens_in or 0 for attempt in told.attempts)
    tokens_out = sum(attempt.tokens_out or 0 for attempt in told.attempts)
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def chunk(task: Task, delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return data_of(_head(task, "chat.completion.chunk") | {"choices": [choice]})


def usage_chunk(told: Told) -> str:
    return data_of(_head(told.task, "chat.completion.chunk") | {"choices": [], "usage": usage(told)})


def _head(task: Task, kind: str) -> dict[str, Any]:
    model = f"{task.provider}/{task.model}" if task.model else "auto"
    return {"id": f"chatcmpl-{task.id}", "object": kind, "created": int(task.created_at.timestamp()), "model": model}


@dataclass(slots=True)
class Spoken:
    """What was passed on of an answer while it was written: of the first attempt that wrote, without gaps."""

    text: str = ""
    attempt: str | None = None

    def hear(self, attempt_id: str, before: int, text: str) -> bool:
        """Whether the piece goes on where the last one ended."""
        # Who listens too late has missed the beginning: then nothing is passed on, and the end brings the whole.
        if self.attempt is None and before == 0:
            self.attempt = attempt_id
        if attempt_id != self.attempt or before != len(self.text):
            return False
        self.text += text
        return True

    def rest(self, answer: str) -> str | None:
        """What of the answer was not passed on; None where another one was begun."""
        return answer[len(self.text) :] if answer.startswith(self.text) else None
