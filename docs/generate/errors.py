"""The page of errors."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import vel_tutor_mcp
from generate.markdown import code, sentence, table
from vel_tutor_mcp import errors
from vel_tutor_mcp.doors import bounds, gate
from vel_tutor_mcp.doors.reply import ANSWERS, Answer
from vel_tutor_mcp.doors.rest.problems import REFUSED
from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import FailureKind

_HEAD = """\
# Errors
Each is one sentence: what happened, why, what to do next. Over MCP it is the text of a tool's error, on the command
line a line on stderr with an [exit code](../command-line.md#exit-codes), over REST an [object](../rest.md#errors).

"""
_TASKS = """
## Of tasks and steps
A task or step that failed says in `error.code` one of the codes above, or:

"""
_HTTP = """
## Of requests over HTTP
What is refused before a service is asked.

"""


def page() -> str:
    told = dict[str, dict[str, None]]()
    for name, message in sorted(_of_tasks()):
        told.setdefault(name, {})[message] = None
    tasks = table(("code", "message"), ((code([name]), " / ".join(messages)) for name, messages in told.items()))
    refused = table(("status", "code", "message"), sorted(set(_of_requests())))
    ours = table(("code", "over REST", "exit code", "unless it says more"), _ours())
    return f"{_HEAD}{ours}{_TASKS}{tasks}\nAn attempt's `failure` is one of {code(FailureKind)}.\n{_HTTP}{refused}"


def _ours() -> Iterator[tuple[str, ...]]:
    told = set[str]()
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, VelError) and kind.code not in told:
            told.add(kind.code)
            answer = _answer(kind)
            yield (
                f"`{kind.code}`",
                f"{answer.status} `{answer.code}`",
                str(answer.exit_code),
                sentence(kind.__doc__ or ""),
            )


def _answer(kind: type[VelError]) -> Answer:
    return next(answer for known, answer in ANSWERS.items() if issubclass(kind, known))


def _of_tasks() -> Iterator[tuple[str, str]]:
    """Those that stand in the code by their letters."""
    for path in Path(vel_tutor_mcp.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TaskError":
                given = {keyword.arg: _text(keyword.value) for keyword in node.keywords}
                if "..." not in given["code"]:
                    yield given["code"], given["message"]


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(_text, parts))
    return "..."


def _of_requests() -> Iterator[tuple[str, str, str]]:
    for status, (name, message) in REFUSED.items():
        yield str(status), f"`{name}`", message
    for module in (bounds, gate):
        for _, refusal in inspect.getmembers(module, lambda value: isinstance(value, tuple)):
            match refusal:
                case (int(status), str(name), str(message)):
                    yield str(status), f"`{name}`", message
