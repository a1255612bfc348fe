"""Tasks on their way out, as a table or as JSON: what lists have of each."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Literal

from vel_tutor_mcp.services.reports import listed_task
from vel_tutor_mcp.services.sheets import sheet_line
from vel_tutor_mcp.task_lists import ListedTask

Format = Literal["csv", "json"]
Batches = AsyncIterator[Sequence[ListedTask]]

COLUMNS = (
    "id", "status", "agent", "agent_id", "task_type", "priority", "provider", "model", "attempts", "cost_usd",
    "total_ms", "run", "step", "item", "error", "created_at", "updated_at", "prompt",
)  # fmt: skip


def written(batches: Batches, form: Format) -> AsyncGenerator[str]:
    """A text for each batch, which together are the file."""
    return _sheet(batches) if form == "csv" else _array(batches)


async def _sheet(batches: Batches) -> AsyncGenerator[str]:
    yield f"{sheet_line(COLUMNS)}\n"
    async for batch in batches:
        yield "".join(f"{sheet_line(_cells(task))}\n" for task in batch)


def _cells(task: ListedTask) -> list[Any]:
    row = listed_task(task)
    error = row["error"] and f"{row['error']['code']}: {row['error']['message']}"
    return [(row | {"error": error}).get(name) for name in COLUMNS]


async def _array(batches: Batches) -> AsyncGenerator[str]:
    """One task in a line."""
    before = "[\n"
    async for batch in batches:
        lines = [json.dumps(listed_task(task), ensure_ascii=False) for task in batch]
        yield before + ",\n".join(lines) if lines else ""
        before = ",\n" if lines else before
    yield "[]\n" if before == "[\n" else "\n]\n"
