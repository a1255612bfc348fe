"""Commands whose files find no room: they say so, and what was there before is as it was."""

import sys
from pathlib import Path

import pytest
from commands import Command, Ended, run
from processes import begin
from server import environment, one_sentence, unmeasured

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="limits of files are Linux's")]

NOT_WRITTEN, BAD_CONFIGURATION = 74, 78
ON_FULL_DISK = (
    "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    "runpy.run_module('vel_tutor_mcp', run_name='__main__')"
)


async def run_on_full_disk(folder: Path, *arguments: str) -> Ended:
    program = (sys.executable, "-c", ON_FULL_DISK, *arguments)
    return await Command(await begin(program, folder, unmeasured(environment(folder))), arguments).ended()


async def test_an_export_that_finds_no_room_is_told_as_not_written(tmp_path: Path) -> None:
    cut = await run(tmp_path, {}, "audit", "export", "--output", "/dev/full")

    assert (cut.code, cut.stdout) == (NOT_WRITTEN, ""), cut
    assert one_sentence(cut.stderr.strip())
    assert "could not be written; No space left on device" in cut.stderr


async def test_a_clients_file_is_as_it_was_where_there_is_no_room(tmp_path: Path) -> None:
    file = tmp_path / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {}}')
    cut = await run_on_full_disk(tmp_path, "install", "cursor", "--write")
    kept = file.read_text()
    written = await run(tmp_path, {}, "install", "cursor", "--write")

    assert (cut.code, kept) == (BAD_CONFIGURATION, '{"mcpServers": {}}'), cut
    assert one_sentence(cut.stderr.strip())
    assert "File too large" in cut.stderr
    assert written.code == 0
    assert "vel-tutor" in file.read_text()
