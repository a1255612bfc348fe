"""Lines: a provider as it is called with one key. The installation has one to each provider that it has a key of, and
owners have lines of their own, where they have stored keys.

What is remembered of calls is remembered by line, so that a bad or exhausted key is in nobody else's way. (Pure.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from vel_tutor_mcp.providers.base import Provider

SIGN = "@"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Line:
    """An owner's line. Its calls are remembered under `name`; those of the installation's under the provider's."""

    name: str
    provider: Provider


def name_of(provider: str, mark: str) -> str:
    """The name of an owner's line, which `mark` tells from all others to this provider."""
    return f"{provider}{SIGN}{mark}"


def as_catalogued(of_models: Mapping[str, Value], own: Mapping[str, str]) -> dict[str, Value]:
    """What is remembered of models, by their full names, for an owner with these lines, by their providers.

    What is remembered of others' lines is left out, and so is the installation's line to a provider of `own`.
    """
    providers = {line: provider for provider, line in own.items()}
    found = {}
    for name, value in of_models.items():
        line, _, model = name.partition("/")
        if line in providers:
            found[f"{providers[line]}/{model}"] = value
        elif SIGN not in line and line not in own:
            found[name] = value
    return found
