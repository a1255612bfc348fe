"""What a function of a door asks of the services: read off its code, with what each method needs and raises."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from vel_tutor_mcp import errors
from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import VelError

Function = Callable[..., Any]
_SERVICES: Mapping[str, Any] = {field.name: field.type for field in fields(App)}
_RAISED = re.compile(r"(?:^|(?<=\. ))([A-Z]\w+(?:, [A-Z]\w+)*): ")
_ELSEWHERE = ("as `", "see `")


def asked(function: Function) -> list[Function]:
    """The services' methods that it calls, in order, those by functions of the doors that it calls too."""
    return list(dict.fromkeys(_asked(inspect.unwrap(function), set())))


def operations(function: Function) -> list[str]:
    """What its caller must be allowed to do."""
    found = (getattr(method, "operation", None) for method in asked(function))
    return list(dict.fromkeys(str(operation) for operation in found if operation))


def raised(function: Function) -> dict[str, str]:
    """The codes of what the methods raise, each with why, where that is said there."""
    told = dict[str, str]()
    for method in asked(function):
        for code, why in _raised(method.__doc__ or ""):
            told[code] = told.get(code) or why
    return told


def _asked(function: Function, seen: set[Function]) -> Iterator[Function]:
    if function in seen:
        return
    seen.add(function)
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        match node:
            case ast.Attribute(ast.Attribute(ast.Name("app") | ast.Attribute(attr="app"), service), method):
                yield from _method(service, method)
            case ast.Name(name):
                yield from _followed(getattr(function, "__globals__", {}).get(name), seen)


def _method(service: str, name: str) -> Iterator[Function]:
    method = getattr(_SERVICES.get(service), name, None)
    if inspect.isfunction(method):
        yield method


def _followed(found: Any, seen: set[Function]) -> Iterator[Function]:
    if (inspect.isfunction(found) or inspect.isclass(found)) and found.__module__.startswith(
        ("vel_tutor_mcp.doors.", "vel_tutor_mcp.tools.")
    ):
        yield from _asked(inspect.unwrap(found), seen)


def _raised(docstring: str) -> Iterator[tuple[str, str]]:
    section = " ".join(docstring.partition("Raises:")[2].split())
    _, *parts = _RAISED.split(section)
    for names, why in zip(parts[::2], parts[1::2], strict=True):
        for name in names.split(", "):
            kind = getattr(errors, name, None)
            if isinstance(kind, type) and issubclass(kind, VelError):
                yield kind.code, "" if why.startswith(_ELSEWHERE) else why.strip().rstrip(".")
