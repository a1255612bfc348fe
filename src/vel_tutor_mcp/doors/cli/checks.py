"""`doctor`: whether this installation is fit to work, and what to do where it is not."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vel_tutor_mcp.doors import process
from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column

if TYPE_CHECKING:
    from vel_tutor_mcp.services.doctor.verdicts import Finding

_COLUMNS = (
    Column("verdict"),
    Column("check"),
    Column("found", share=3, wraps=True),
    Column("what to do", share=2, wraps=True),
)
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check settings, folder, database, providers, clock and tools, changing nothing; exit code 1 if a check failed."""
    asyncio.run(_examine(as_json=as_json))


async def _examine(*, as_json: bool) -> None:
    from vel_tutor_mcp.services.doctor.checkup import check_up
    from vel_tutor_mcp.services.doctor.verdicts import Verdict, worst
    from vel_tutor_mcp.settings import load_settings
    from vel_tutor_mcp.store.places import database_of

    findings = await check_up(load_settings, database_of)
    verdict = worst(findings)
    if as_json:
        output.document({"verdict": verdict, "checks": [asdict(finding) for finding in findings]})
    else:
        output.rows(_COLUMNS, _lines(findings), _STYLES)
    # An orderly end would wait for threads, and one may wait for a name server that does not answer.
    process.leave(1 if verdict is Verdict.FAILED else 0)


def _lines(findings: "Sequence[Finding]") -> list[tuple[str, ...]]:
    return [(finding.verdict.value, finding.check, finding.found, finding.advice) for finding in findings]
