"""The private copy of a project in which Task Master's own AI tools work, with a configuration of ours.

Their model is our gateway, by an address that holds a secret: Task Master sends no key to a local server. All of it
blocks for a moment.
"""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.taskmaster.planning import Action, Plan, part_for, unsound
from vel_tutor_mcp.taskmaster.project import FOLDER, Project

# Beside it there must be room for what Task Master says around it.
MOST_PRD_CHARACTERS = 80_000
_MOST_REPORT_BYTES = 2_000_000
_MODEL = "auto"
_PRD = "prd.txt"
_USUAL_PRDS = (f"{FOLDER}/docs/prd.txt", f"{FOLDER}/docs/prd.md")
_REPORTS = "reports"


def lay_out(root: Path, project: Project, plan: Plan, content: bytes | None, base_url: str) -> Project:
    """The copy, in the folder `root`, which is made anew; `content` is the project's `tasks.json`.

    Raises:
        InputError: see `prd_in`.
    """
    shutil.rmtree(root, ignore_errors=True)
    folder = root / FOLDER
    for part in ("tasks", "docs", _REPORTS):
        (folder / part).mkdir(mode=0o700, parents=True)
    (root / ".git").mkdir()  # without a mark of a project it reads another's configuration, telemetry on
    _write(folder / "config.json", _configuration(base_url))
    _write(folder / "state.json", {"currentTag": plan.tag})
    (folder / "tasks" / "tasks.json").write_bytes(part_for(content, plan))
    if plan.action is Action.PARSE_PRD:
        (folder / "docs" / _PRD).write_text(prd_in(project, plan.target)[1], encoding="utf-8")
    return Project(root)


def call_of(copy: Project, plan: Plan) -> tuple[str, dict[str, str]]:
    """The tool that does it, and its arguments."""
    match plan.action:
        case Action.PARSE_PRD:
            prd = str(copy.root / FOLDER / "docs" / _PRD)
            return "parse_prd", {"input": prd, "tag": plan.tag, **_count(plan, "numTasks")}
        case Action.EXPAND:
            assert plan.target is not None
            return "expand_task", {"id": plan.target, "tag": plan.tag, **_count(plan, "num")}
        case Action.ANALYZE:
            return "analyze_project_complexity", {"tag": plan.tag}


def _count(plan: Plan, name: str) -> dict[str, str]:
    """How many are to be made, as the tool calls it."""
    return {} if plan.count is None else {name: str(plan.count)}


def prd_in(project: Project, target: str | None) -> tuple[str, str]:
    """The PRD's path in the project, and its text. Without a target, where Task Master has its PRDs.

    Raises:
        InputError: it is none, leads out of the project, or is too long.
    """
    usual = [path for path in _USUAL_PRDS if (project.root / path).is_file()]
    if target is None and not usual:
        raise _no_prd(f"there is none at {_USUAL_PRDS[0]}")
    try:
        path = (project.root / (target or usual[0])).resolve(strict=True)
        if not path.is_relative_to(project.root) or not stat.S_ISREG(path.stat().st_mode):
            raise _no_prd("it is no file in the project")
        # Some editors begin a text with a byte order mark, which is no part of it.
        with path.open(encoding="utf-8-sig") as opened:
            text = opened.read(MOST_PRD_CHARACTERS + 1)
    except (OSError, ValueError, RuntimeError):
        raise _no_prd("it cannot be read as a text") from None
    if not text.strip() or len(text) > MOST_PRD_CHARACTERS:
        raise _no_prd(f"it is empty, or has more than {MOST_PRD_CHARACTERS:,} characters")
    return path.relative_to(project.root).as_posix(), text


def report_in(copy: Project) -> tuple[str, bytes]:
    """The complexity report that was written, by its name.

    Raises:
        Conflict: there is none.
    """
    written = list((copy.root / FOLDER / _REPORTS).glob("*.json"))
    if len(written) != 1 or written[0].stat().st_size > _MOST_REPORT_BYTES:
        raise unsound("there is no report")
    return written[0].name, written[0].read_bytes()


def _no_prd(why: str) -> InputError:
    return InputError(f"There is no PRD to parse; {why}; name one as target, by its path in the project.")


def _configuration(base_url: str) -> dict[str, Any]:
    role = {"provider": "lmstudio", "modelId": _MODEL, "baseURL": base_url, "maxTokens": 8000, "temperature": 0.2}
    return {
        "models": {"main": role, "research": role, "fallback": role},
        "global": {
            "logLevel": "error",
            "debug": False,
            "defaultNumTasks": 10,
            "defaultSubtasks": 5,
            "defaultPriority": "medium",
            "projectName": "project",
            "responseLanguage": "English",
            "enableCodebaseAnalysis": False,
            "enableProxy": False,
            "anonymousTelemetry": False,
            "defaultTag": "master",
            "userId": "1234567890",  # without one it writes the file anew
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
