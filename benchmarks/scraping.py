"""What a look for `/metrics` costs beside 100,000 tasks, of which 1,000 ended in the last minutes: CPU and time in ms.

Run: `python benchmarks/scraping.py`.
"""

import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from seeding import TASKS, fill

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.measuring import Measuring
from vel_tutor_mcp.settings import Settings

LOOKS = 9


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), concurrency=0)
        await fill(settings, TASKS)
        async with open_app(settings, guest=True) as app:
            cpu, wall, ended = [], [], 0
            for _ in range(LOOKS):
                measuring = Measuring(app._parts.database)  # noqa: SLF001 - a new one keeps no look
                measuring._since = record.now() - timedelta(hours=7)  # noqa: SLF001 - as many calls as in a busy while
                began, used = time.perf_counter(), time.process_time()
                measured = await measuring.look(app.local_principal)
                wall.append(time.perf_counter() - began)
                cpu.append(time.process_time() - used)
                assert measured is not None
                ended = sum(measured.calls.ended.values())
    told = f"{median(cpu) * 1000:.0f} ms of CPU, {median(wall) * 1000:.0f} ms in all"
    print(f"{TASKS:,} tasks, {ended:,} calls read: {told} (median of {LOOKS})")


if __name__ == "__main__":
    asyncio.run(main())
