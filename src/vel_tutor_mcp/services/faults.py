"""What a task is told to have failed by, where it was no call to a model."""

import logging

from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import TaskError

_log = logging.getLogger(__name__)


def told(problem: BaseException, shortage: str = "") -> TaskError:
    if isinstance(problem, VelError):
        return TaskError(code=problem.code, message=f"{problem} {shortage}".rstrip())
    _log.error("A task met an unexpected fault.", exc_info=problem)
    return TaskError(
        code="internal",
        message=f"The server met an unexpected fault ({type(problem).__name__}); its log says more; retry the task.",
    )


def too_often(recoveries: int) -> TaskError:
    return TaskError(
        code="recovered_too_often",
        message=(
            f"The server died {recoveries} times while it ran this task, without an attempt ending; something in the "
            "task or the machine may be the cause; look at the server's log, then retry the task."
        ),
    )
