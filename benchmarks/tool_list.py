"""What a model has to read before it can ask for anything: the bytes of `tools/list`."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import Result
from stdio import OURS, StdioServer, environment

MOST_BYTES, MOST_BYTES_A_TOOL = 16_000, 640

_NO_PROVIDER = "http://127.0.0.1:9/v1"


async def results(_: float) -> list[Result]:
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        # Where node is, the tools that need Task Master are listed too.
        StdioServer(OURS, environment(Path(folder), _NO_PROVIDER, VEL_TUTOR_TASK_MASTER_COMMAND="node")) as server,
    ):
        server.initialize()
        listed = server.request("tools/list", {})
    sizes = {tool["name"]: _bytes(tool) for tool in listed["tools"]}
    whole = _bytes(listed)
    return [
        Result(name=f"tools/list of {len(sizes)} tools", unit="bytes", ours=whole, limit=MOST_BYTES),
        Result(name="tools/list, a tool", unit="bytes", ours=whole / len(sizes), limit=MOST_BYTES_A_TOOL),
        *(Result(name=f"  {name}", unit="bytes", ours=size) for name, size in _largest_first(sizes)),
    ]


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _largest_first(sizes: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda pair: -pair[1])
