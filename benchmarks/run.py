"""Run the benchmarks and print one table: `python benchmarks/run.py [--only NAME] [--json FILE]`.

A ratio is resolved only where it is further from 1 than its A/A control.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from pathlib import Path

import decision
import provider
import start
from measure import Result

BENCHMARKS = {"start": start.results, "provider": provider.results, "decision": decision.results}

_COLUMNS = ("benchmark", "ours", "theirs", "unit", "ratio [quartiles]", "A/A control", "goal", "")


async def measured(names: list[str]) -> list[Result]:
    found: list[Result] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found += await BENCHMARKS[name]()
    return found


def table(results: list[Result]) -> str:
    rows = [_COLUMNS, *(result.row() for result in results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def main() -> None:
    parser = argparse.ArgumentParser(description="What is fast, against what, and how sure that is.")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="may be given several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file as well")
    arguments = parser.parse_args()
    results = asyncio.run(measured(arguments.only or list(BENCHMARKS)))
    print(f"{machine()}\n\n{table(results)}")
    if arguments.json:
        report = {"machine": machine(), "results": [result.shown() for result in results]}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
