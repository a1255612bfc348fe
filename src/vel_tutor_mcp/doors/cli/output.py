"""How commands speak: results on stdout, so that they pipe; everything else on stderr."""

import io
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TextIO

import typer

from vel_tutor_mcp.models import Page, Row

if TYPE_CHECKING:
    from rich.table import Table

    from vel_tutor_mcp.news import News

    Tell = Callable[[News], Awaitable[None]]

Name = Literal["stdin", "stdout", "stderr"]

# Options that several commands have.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(help="Go on where the last list ended.")]


class Column(NamedTuple):
    """`share` is its part of the room that is left; None: as wide as what stands in it."""

    name: str
    share: int | None = None
    wraps: bool = False


# The control characters that stay in a text.
_KEPT = "\n\t"
_SPINNER = 3


def document(data: Any) -> None:
    """One JSON document, in ASCII: it passes through any encoding unchanged."""
    typer.echo(json.dumps(data, indent=2))


def result(text: str) -> None:
    """The text alone: as it is in a pipe, without what could command a terminal on one."""
    stream = _stream("stdout")
    typer.echo(harmless(text) if stream.isatty() else text, file=stream, color=True)


def say(line: str) -> None:
    """A line for the person."""
    typer.echo(harmless(line), file=_stream("stderr"))


def rows(columns: Sequence[Column], lines: Iterable[Sequence[str]], styles: Mapping[str, str] = {}) -> None:
    """A table on a terminal; else tab-separated lines without a head."""
    from rich.console import Console

    console = Console(file=_stream("stdout"), stderr=False, highlight=False)
    if console.is_terminal:
        console.print(table(columns, lines, styles))
    else:
        for line in lines:
            typer.echo("\t".join(map(one_line, line)))


def listed(
    name: str,
    page: Page[Row],
    columns: Sequence[Column],
    cells: Callable[[Row], Sequence[str]],
    show: Callable[[Row], dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    """A page of a list of things of this name: as one document of what `show` gives, else as `rows` of their cells."""
    if as_json:
        document({name: [show(row) for row in page.rows], "next_cursor": page.cursor})
        return
    if page.rows:
        rows(columns, map(cells, page.rows))
    else:
        say(f"No {name}.")
    if page.cursor:
        say(f"There are more; add --cursor {page.cursor}")


def table(columns: Sequence[Column], lines: Iterable[Sequence[str]], styles: Mapping[str, str] = {}) -> "Table":
    """The table; a cell whose text is in `styles` is shown in that style."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    for column in columns:
        whole = not column.wraps
        drawn.add_column(column.name, no_wrap=whole, overflow="ellipsis" if whole else "fold", ratio=column.share)
    for line in lines:
        drawn.add_row(*(Text(one_line(cell), styles.get(cell, "")) for cell in line))
    return drawn


def on_terminal(name: Name) -> bool:
    return _stream(name).isatty()


def harmless(text: str) -> str:
    """Without control characters, by which a model's answer could rewrite what the terminal shows."""
    return "".join(character for character in text if character.isprintable() or character in _KEPT)


def one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


@contextmanager
def progress(beginning: str) -> "Iterator[Tell | None]":
    """Shows a task's news on one changing line of stderr; None where that is no terminal."""
    if not _stream("stderr").isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status(Text(beginning)) as status:

        async def tell(news: "News") -> None:
            share, room = f"{news.percent:3.0f} %  ", console.width - _SPINNER
            line = Text(share + _newest(one_line(news.message), room - len(share)))
            line.truncate(room, overflow="ellipsis")
            status.update(line)

        yield tell


def _newest(message: str, room: int) -> str:
    """The end of a message that is too long: of several news at once the last counts."""
    return message if len(message) <= room else f"\u2026{message[1 - room :]}"


def _stream(name: Name) -> TextIO:
    stream = typer.get_text_stream(name)
    # What a narrow encoding cannot show must not end the command.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream
