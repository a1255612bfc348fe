"""A process that is forked is as one that Python starts: what the tests here see of the one holds of the other."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from processes import COMMAND, Forked, begin
from server import MEASURED, Server, environment, serving, soon

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")]


async def ended(command: Sequence[str], folder: Path, *, anew: bool) -> tuple[int | None, bytes, bytes | None]:
    process = await begin([*COMMAND, *command], folder, environment(folder), anew=anew)
    out, err = await soon(process.communicate(b""))
    return process.returncode, out, err


@pytest.mark.parametrize("command", [["user", "list", "--json"], ["no such command"]], ids=" ".join)
async def test_a_command_ends_and_speaks_alike(tmp_path: Path, command: list[str]) -> None:
    assert await ended(command, tmp_path, anew=False) == await ended(command, tmp_path, anew=True)


@pytest.mark.skipif(MEASURED, reason="what is measured cannot be forked")
async def test_a_forked_server_has_a_folder_and_streams_of_its_own_and_dies_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as other, serving(tmp_path) as server:
        assert isinstance(server._process, Forked)
        assert Path(f"/proc/{server.pid}/cwd").readlink() == tmp_path / "cwd"
        assert not pipes_of(server) & pipes_of(other)
        server.signal(signal.SIGKILL)
        assert await server.ended() == -signal.SIGKILL
        assert not Path(f"/proc/{server.pid}").exists()
        assert (await other.call("task_list"))["tasks"] == []


def pipes_of(server: Server) -> set[str]:
    opened = [str(path.readlink()) for path in Path(f"/proc/{server.pid}/fd").iterdir()]
    return {name for name in opened if name.startswith("pipe:")}
