"""Which pages there are, and what makes each."""

from collections.abc import Callable, Mapping
from pathlib import Path

from generate import commands, errors, metrics, prompts, resources, routes, settings, tables, tools

FOLDER = Path(__file__).parents[1] / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "tools.md": tools.page,
    "resources.md": resources.page,
    "prompts.md": prompts.page,
    "settings.md": settings.page,
    "commands.md": commands.page,
    "routes.md": routes.page,
    "tables.md": tables.page,
    "errors.md": errors.page,
    "metrics.md": metrics.page,
}
_WRITTEN = "<!-- Written by `make docs`: change the text where it stands in the code. -->\n"


def written(name: str) -> str:
    """The page as it should stand in the folder."""
    return f"{_WRITTEN}{PAGES[name]().rstrip()}\n"
