"""What is wanted of Task Master, checked against the project, and later what came of it put there, in one write.

All of it blocks for a moment.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.taskmaster import copying, keeping, reading
from vel_tutor_mcp.taskmaster import project as folders
from vel_tutor_mcp.taskmaster.planning import Action, Plan, check, marked, merged, report_of, tag_of
from vel_tutor_mcp.taskmaster.project import FOLDER, Project

_TAG = re.compile(r"[A-Za-z0-9_-]{1,60}")
_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What a caller asks for; see `tools/taskmaster_plan.py`."""

    project: str
    action: Action
    target: str | None = None
    count: int | None = None
    tag: str | None = None


def checked(wanted: PlanRequest) -> Plan:
    """The plan in full, which may be begun.

    Raises:
        InputError, NotFound, Conflict: it cannot be done as it stands; says why.
    """
    project, plan = full(wanted, mark="")
    check(content_of(project, plan), plan)
    return plan


def full(wanted: PlanRequest, mark: str) -> tuple[Project, Plan]:
    """The project, and the plan with what was left open.

    Raises:
        InputError, NotFound: there is no such project or PRD, or something cannot be asked for.
    """
    project = folders.at(wanted.project)
    if wanted.count is not None and wanted.count not in range(1, _MOST + 1):
        raise InputError(f"The count is out of range; it is how many are made, from 1 to {_MOST}; correct it.")
    tag, target = _tag(project, wanted), _target(project, wanted)
    return project, Plan(action=wanted.action, tag=tag, target=target, count=wanted.count, mark=mark)


def copied(root: Path, project: Project, plan: Plan, base_url: str) -> Project:
    """A private copy for the plan, if it can still be done; see `copying.lay_out` and `check`."""
    content = content_of(project, plan)
    check(content, plan)
    return copying.lay_out(root, project, plan, content, base_url)


def merged_before(project: Project, plan: Plan) -> dict[str, Any] | None:
    """What was made of the plan, where that was put into the project before; a report is written anew."""
    ids = marked(reading.read(content_of(project, plan) or b"{}"), plan)
    return _told(plan, ids) if ids else None


def content_of(project: Project, plan: Plan) -> bytes | None:
    """The project's `tasks.json`; None where there is none yet and a PRD is to be parsed.

    Raises:
        Missing, Corrupt: see `Project.content` and `Project.has_no_tasks_file`.
    """
    if plan.action is Action.PARSE_PRD and project.has_no_tasks_file():
        return None
    return project.content()


def merge(project: Project, copy: Project, plan: Plan) -> dict[str, Any]:
    """Put what was made into the project, and tell of it. The caller holds the project's lock.

    Raises:
        NotFound, Conflict, Corrupt: it cannot be put there; nothing was written.
    """
    if plan.action is Action.ANALYZE:
        return _report(project, copy, plan)
    content = content_of(project, plan)
    changed, ids = merged(content, copy.content(), plan)
    told = _told(plan, ids)
    if content is not None:
        told["backup"] = keeping.back_up(project, content).relative_to(project.root).as_posix()
    keeping.inside(project, FOLDER, "tasks")
    # Where a link leads: a new file under its own name would take the place of the link.
    keeping.write(project.tasks_file.resolve(), changed)
    return told


def _told(plan: Plan, ids: tuple[str, ...]) -> dict[str, Any]:
    return {"action": plan.action.value, "tag": plan.tag, "target": plan.target, "made": list(ids)}


def _report(project: Project, copy: Project, plan: Plan) -> dict[str, Any]:
    name, report = copying.report_in(copy)
    analysed = report_of(report, tag_of(project.tags(), plan.tag))
    path = keeping.inside(project, FOLDER, "reports") / name
    keeping.write(path, report)
    told = {"action": plan.action.value, "tag": plan.tag, "analysed": analysed}
    return told | {"report": path.relative_to(project.root).as_posix()}


def _tag(project: Project, wanted: PlanRequest) -> str:
    """The tag's name; only a PRD makes a new one."""
    tag = wanted.tag or project.current_tag() or reading.LEGACY_TAG
    if wanted.action is Action.PARSE_PRD and not _TAG.fullmatch(tag):
        raise InputError("The tag's name cannot be used; it has letters, digits, - and _, at most 60; name another.")
    return tag


def _target(project: Project, wanted: PlanRequest) -> str | None:
    match wanted.action:
        case Action.PARSE_PRD:
            return copying.prd_in(project, wanted.target)[0]
        case Action.EXPAND:
            return reading.normal(wanted.target)
        case Action.ANALYZE:
            if wanted.target is not None or wanted.count is not None:
                raise InputError("All tasks of a tag are analysed; a target or a count means nothing; leave it out.")
            return None
