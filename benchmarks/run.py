"""Run the benchmarks and print one table: `python benchmarks/run.py --help`.

docs/performance.md says how to read it. What was measured until Ctrl-C, or until a part failed, is told too; a page is
written of the whole alone.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import alerts
import audit_trail
import decision
import durable
import growth
import lists
import memory
import money
import parts
import projects
import provider
import rest
import routed
import runs
import start
import stored
import takeover
import throughput
import tool_list
import traces
import views
import waiting
import workers
from measure import Result
from routing import availability, switching, trace
from stdio import FOREIGN

BENCHMARKS = {
    "start": start.results,
    "provider": provider.results,
    "routed": routed.results,
    "decision": decision.results,
    "tools": tool_list.results,
    "memory": memory.results,
    "durable": durable.results,
    "traces": traces.results,
    "throughput": throughput.results,
    "runs": runs.results,
    "takeover": takeover.results,
    "workers": workers.results,
    "waiting": waiting.results,
    "stored": stored.results,
    "views": views.results,
    "lists": lists.results,
    "money": money.results,
    "rest": rest.results,
    "growth": growth.results,
    "audit": audit_trail.results,
    "alerts": alerts.results,
    "parts": parts.results,
    "projects": projects.results,
    "availability": availability.results,
    "switching": switching.results,
    "trace": trace.results,
}

_QUICK = 0.3
_HEAD = """# What was measured

Written by `benchmarks/run.py --page` on {date}: {machine}. [performance.md](performance.md) says what each is, and how
to read it.
"""
_COLUMNS = ("benchmark", "ours", "theirs", "more", "unit", "ratio [quartiles]", "A/A control", "goal", "")


async def measure(names: list[str], share: float, results: list[Result]) -> None:
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results += await BENCHMARKS[name](share)


def table(results: list[Result]) -> str:
    rows = [_COLUMNS, *(result.row() for result in results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def page(results: list[Result], where: str) -> str:
    """The table in Markdown."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(result.row() for result in results)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([_HEAD.format(date=datetime.now(UTC).date(), machine=where), *lines, ""])


def machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs{load}"


def forget_settings() -> None:
    """What this machine tells the product and the SDK is no part of a comparison."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]


def main() -> None:
    parser = argparse.ArgumentParser(description="What is fast, against what, and how sure that is.")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, no evidence")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file as well")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table to this file as Markdown")
    arguments = parser.parse_args()
    forget_settings()
    before, results = machine(), list[Result]()
    try:
        asyncio.run(measure(arguments.only or list(BENCHMARKS), _QUICK if arguments.quick else 1.0, results))
    finally:
        print(f"{before}\n\n{table(results)}")
        if arguments.json:
            report = {"machine": before, "results": [result.shown() for result in results]}
            arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if arguments.page:
        arguments.page.write_text(page(results, before), encoding="utf-8")


if __name__ == "__main__":
    main()
