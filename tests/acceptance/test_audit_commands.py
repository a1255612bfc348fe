"""The trail from the shell: exported, proven with nothing but the file, and found out where it was changed."""

from pathlib import Path
from stat import S_IMODE

import pytest
from commands import run
from server import alone, one_sentence
from world import Providers

pytestmark = pytest.mark.anyio

BROKEN, USAGE = 1, 64


async def test_an_export_is_proven_by_its_file_and_a_change_of_it_is_told(tmp_path: Path, providers: Providers) -> None:
    here, file = alone(providers.groq), tmp_path / "trail.jsonl"
    made = await run(tmp_path, here, "audit", "export", "--output", str(file))
    assert (made.code, made.stdout) == (0, "")
    assert made.stderr.startswith("Exported: the whole chain, up to entry ")
    key = await run(tmp_path, here, "audit", "key")

    proven = await run(tmp_path, here, "audit", "verify", str(file), "--key", key.stdout.strip())
    assert proven.code == 0
    assert proven.stdout.startswith("The audit trail is whole: ")
    assert key.stderr.removeprefix("Its id is ").strip()[:-1] in proven.stdout

    file.write_bytes(file.read_bytes().replace(b"agent_created", b"agent_deleted"))
    broken = await run(tmp_path, here, "audit", "verify", str(file), "--json")
    assert broken.code == BROKEN
    assert (broken.json["ok"], broken.json["fault"]["kind"], broken.json["fault"]["sequence"]) == (False, "changed", 1)

    refused = await run(tmp_path, here, "audit", "verify", str(tmp_path / "none"), "--key", "of nobody")
    assert (refused.code != 0, one_sentence(refused.stderr.strip())) == (True, True)


async def test_an_export_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    file.write_text("of yesterday")
    refused = await run(tmp_path, {}, "audit", "export", "--since", "yesterday", "--output", str(file))
    assert (refused.code, file.read_text()) == (USAGE, "of yesterday"), refused
    assert list(tmp_path.glob("trail*")) == [file]

    nowhere = await run(tmp_path, {}, "audit", "export", "--output", str(tmp_path / "nowhere" / "trail.jsonl"))
    assert (nowhere.code, one_sentence(nowhere.stderr.strip())) == (USAGE, True), nowhere
    assert "No such file or directory; name another file with --output" in nowhere.stderr


async def test_an_export_takes_the_place_of_the_earlier_one_with_its_mode_and_link(tmp_path: Path) -> None:
    file, link = tmp_path / "trail.jsonl", tmp_path / "newest"
    file.write_text("of yesterday")
    file.chmod(0o600)
    link.symlink_to(file)
    made = await run(tmp_path, {}, "audit", "export", "--output", str(link))
    assert (made.code, link.is_symlink(), S_IMODE(file.stat().st_mode)) == (0, True, 0o600), made
    assert file.read_text().startswith('{"vel_tutor_audit"')


async def test_the_database_is_proven_from_the_shell_and_handed_out_as_a_table(
    tmp_path: Path, providers: Providers
) -> None:
    here = alone(providers.groq)
    table = await run(tmp_path, here, "audit", "export", "--format", "csv", "--action", "workflow_saved")
    assert table.code == 0
    assert table.stdout.splitlines()[0].endswith("previous_hash,hash,filter")
    assert all("workflow_saved" in line for line in table.stdout.splitlines()[1:])
    assert "what the filter let through" in table.stderr

    proven = await run(tmp_path, here, "audit", "verify", "--json")
    assert (proven.code, proven.json["ok"], proven.json["signed_through"]) == (0, True, proven.json["last"])
