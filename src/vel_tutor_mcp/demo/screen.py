"""How the demo looks: plain lines and tables, readable on a terminal and in a file."""

import io
import sys
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Json = dict[str, Any]

_WIDTH = 100
_INDENT = 3
_ANSWER_SHOWN = 170


class NotSoError(Exception):
    """What the demo tells is not what happened."""


class Screen:
    """`simulated`: every answer and cost is marked as such."""

    def __init__(self, *, simulated: bool = True) -> None:
        self._simulated = simulated
        self._mark = " (simulated)" if simulated else ""
        # What a narrow encoding cannot show must not end the demo.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self._console = Console(highlight=False, soft_wrap=False)
        width = self._console.width if self._console.is_terminal else _WIDTH
        self._console.width = min(width, _WIDTH)
        self._steps = 0

    def headline(self, text: str) -> None:
        self._steps += 1
        self.gap()
        self._console.rule(Text(f"{self._steps}. {text}", "bold cyan"), align="left", characters="-", style="cyan")

    def say(self, text: str, style: str = "") -> None:
        self._show(Text(text, style))

    def gap(self) -> None:
        self._console.print()

    def news(self, share: float, text: str) -> None:
        """One line of a task's progress; `share` is 0-1."""
        line = Text.assemble((f"{share:6.1%}   ", "cyan"), (text, "dim"))
        line.truncate(self._console.width - _INDENT, overflow="ellipsis")
        self._show(line)

    def answer(self, output: Any) -> None:
        self._show(Text.assemble(("answer   ", "cyan"), (shortened(str(output), _ANSWER_SHOWN), "italic")))

    def check(self, holds: bool, text: str) -> None:
        """Say what is so.

        Raises:
            NotSoError: it is not.
        """
        if not holds:
            raise NotSoError(f"it is not so that {text}")
        self.ok(text)

    def ok(self, text: str) -> None:
        self._show(Text.assemble(("ok       ", "bold green"), text))

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """A table; columns whose name begins with `>` are aligned to the right."""
        table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
        for name in columns:
            table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self._show(table)

    def candidates(self, rows: Iterable[Json]) -> None:
        columns = ("candidate", ">good enough", ">up", ">cost", ">takes", ">utility")
        self.table(columns, (_candidate(row) for row in rows))

    def tasks(self, tasks: Iterable[Json]) -> None:
        columns = ("task type", f"answered by{self._mark}", ">tokens", ">cost", ">first token", ">in all")
        self.table(columns, (_task(task) for task in tasks))

    def attempts(self, task: Json) -> None:
        columns = (f"attempt{self._mark}", "outcome", ">cost", "reason")
        self.table(columns, (_attempt(row) for row in task["attempts"]))

    def steps(self, run: Json) -> None:
        self.table(("step", "kind", "status", "what is known of it"), (_step(row) for row in run["steps"]))

    def usage(self, report: Json) -> None:
        columns = (f"model{self._mark}", ">tasks", ">attempts", ">fallbacks", ">tokens in", ">out", ">cost", ">p50")
        self.table(columns, (_used(row) for row in report["groups"]))
        baseline = f"the same on {report['baseline_model']} alone"
        self.say(f"{'in all, with what was cut and cancelled':45}{usd(report['cost_usd'])}", "bold")
        self.say(f"{'of it the answers':45}{usd(report['answers_cost_usd'])}", "bold")
        self.say(f"{baseline:45}{usd(report['baseline_cost_usd'])}", "bold")
        if self._simulated:
            self.say("The tokens are simulated and the prices the vendors' published ones; nobody is charged.")

    def trail(self, entries: Iterable[Json]) -> None:
        self.table((">entry", "time", "who", "action", "subject", "hash"), (_entry(row) for row in entries))

    def _show(self, what: Text | Table) -> None:
        self._console.print(Padding(what, (0, 0, 0, _INDENT), expand=False))


def usd(amount: float | None) -> str:
    return "-" if amount is None else f"${amount:.6f}"


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _seconds(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def _name(row: Json) -> str:
    return f"{row['provider']}/{row['model']}"


def _candidate(row: Json) -> tuple[Any, ...]:
    chances = f"{row['p_ok']:.0%}", f"{row['p_up']:.0%}"
    cost, wait = usd(row["expected_cost_usd"]), _seconds(row["expected_latency_ms"])
    return _name(row), *chances, cost, wait, f"{row['utility']:.4f}"


def _task(task: Json) -> tuple[Any, ...]:
    timing = task["timing"]
    times = _seconds(timing["first_token_ms"]), _seconds(timing["total_ms"])
    return task["decision"]["task_type"], _name(task), task["tokens_out"], usd(task["cost_usd"]), *times


def _step(row: Json) -> tuple[Any, ...]:
    counts = ", ".join(f"{count} {name}" for name, count in row.get("tasks", {}).items())
    reason = row["error"]["message"] if row["error"] else ""
    return row["id"], row["kind"], row["status"], counts or reason


def _attempt(row: Json) -> tuple[Any, ...]:
    return _name(row), row["outcome"], usd(row["cost_usd"]), row["error"] or ""


def _used(row: Json) -> tuple[Any, ...]:
    counts = (row[name] for name in ("tasks", "attempts", "fallbacks", "tokens_in", "tokens_out"))
    return row["group"], *counts, usd(row["cost_usd"]), _seconds(row["p50_ms"])


def _entry(row: Json) -> tuple[Any, ...]:
    what = row["principal"], row["action"], shortened(row["subject"], 24)
    return row["sequence"], row["at"][11:19], *what, row["hash"][:12]
