"""How many faults the tests find: `make mutants` plants them one by one, each in a function, and runs the tests of it.

mutmut makes the mutants and knows which tests reach each; what to change and which tests there are stands in
pyproject.toml, `[tool.mutmut]`. It leaves alone what is decorated and what stands outside of functions.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "mutants"
MUTMUT = Path(sys.executable).with_name("mutmut")
LEAST_PERCENT = 75
# How pytest ended: it found a fault; it was stopped, for it took many times as long as without one.
KILLED, TIMED_OUT = {1, 3}, {-24, -9}


@dataclass(frozen=True, slots=True)
class Row:
    module: str
    mutants: int
    killed: int
    timeouts: int

    @property
    def survived(self) -> int:
        return self.mutants - self.killed - self.timeouts

    @property
    def score(self) -> float:
        return 100 * (self.killed + self.timeouts) / self.mutants if self.mutants else 0.0


def main() -> int:
    shutil.rmtree(KEPT, ignore_errors=True)  # what was found with other tests counts for nothing
    ended = subprocess.run(  # noqa: S603 - our own tool
        [MUTMUT, "run", "--max-children", str(os.cpu_count() or 1)],
        check=False,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    rows = [row(path.relative_to(KEPT / "src"), told(path)) for path in sorted(KEPT.rglob("*.py.meta"))]
    print("\n".join(table(rows)))
    if ended.returncode or not rows:
        print("mutants: mutmut did not come to its end; see above.")
        return 1
    return verdict(rows)


def told(path: Path) -> Iterable[int | None]:
    found: Mapping[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found.values()


def row(path: Path, exit_codes: Iterable[int | None]) -> Row:
    """Of one module. Whom no test reaches has survived. (Pure.)"""
    codes = list(exit_codes)
    killed, timeouts = (sum(code in ends for code in codes) for ends in (KILLED, TIMED_OUT))
    return Row(path.as_posix().removeprefix("vel_tutor_mcp/").removesuffix(".meta"), len(codes), killed, timeouts)


def table(rows: list[Row]) -> list[str]:
    total = Row("all", *(sum(getattr(one, name) for one in rows) for name in ("mutants", "killed", "timeouts")))
    cells = [
        f"| {one.module} | {one.mutants} | {one.killed} | {one.survived} | {one.timeouts} | {one.score:.1f} % |"
        for one in [*rows, total]
    ]
    return ["", "| module | mutants | killed | survived | timeouts | score |", "|---|--:|--:|--:|--:|--:|", *cells, ""]


def verdict(rows: list[Row]) -> int:
    blind = [one.module for one in rows if one.score < LEAST_PERCENT]
    if blind:
        print(f"mutants: under {LEAST_PERCENT} % in {', '.join(blind)}.")
    print(f"mutants: `{MUTMUT} results` names those that survived, `... show NAME` what was changed.")
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
