"""Accounts from the shell: the first administrator, roles, disabling, and tokens for clients."""

from pathlib import Path

import pytest
from commands import run
from planted import OTHER_PASSWORD, PASSWORD
from server import one_sentence

pytestmark = pytest.mark.anyio

USAGE, NOT_FOUND, CONFIGURATION = 64, 66, 78


async def test_the_first_administrator_is_made_from_the_shell_with_a_password_from_a_pipe(tmp_path: Path) -> None:
    line = f"{PASSWORD}\n".encode()
    made = await run(tmp_path, {}, "user", "create", "Boss@Example.org", "--role", "admin", "--json", stdin=line)
    assert (made.code, made.json["email"], made.json["role"]) == (0, "boss@example.org", "admin")
    assert made.stderr == "boss@example.org (admin, default) was made.\n"

    listed = await run(tmp_path, {}, "user", "list")
    local, boss = sorted((line.split("\t") for line in listed.stdout.splitlines()), key=lambda row: row[4] == "active")
    assert (local[4], boss[1:5]) == ("local", ["boss@example.org", "admin", "default", "active"])

    changed = await run(tmp_path, {}, "user", "role", "boss@example.org", "user")
    assert changed.stderr == "boss@example.org (task_executor, default) is task_executor now.\n"
    at = {"VEL_TUTOR_OIDC_ISSUER": "https://login.example"}
    linked = await run(tmp_path, at, "user", "link", "boss@example.org", "idp|1", "--json")
    assert (linked.json["subject"], linked.stderr) == (
        "idp|1",
        "boss@example.org (task_executor, default) is linked.\n",
    )
    disabled = await run(tmp_path, {}, "user", "disable", boss[0])
    assert disabled.code == 0
    assert [
        row["disabled_at"]
        for row in (await run(tmp_path, {}, "user", "list", "--role", "user", "--json")).json["users"]
    ]
    changed = await run(tmp_path, {}, "user", "role", boss[0], "viewer")
    assert changed.stderr == "boss@example.org (viewer, default) is viewer now, and still disabled.\n"
    enabled = await run(tmp_path, {}, "user", "enable", boss[0], "--json")
    assert (enabled.json["disabled_at"], enabled.stderr) == (
        None,
        "boss@example.org (viewer, default) is let in again.\n",
    )
    another = await run(tmp_path, {}, "user", "password", boss[0], stdin=f"{OTHER_PASSWORD}\n".encode())
    assert another.stderr == "boss@example.org (viewer, default) has another password now, and signs in anew.\n"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"boss@example.org" in kept
    assert PASSWORD.encode() not in kept
    assert OTHER_PASSWORD.encode() not in kept


async def test_a_token_is_printed_once_and_can_be_taken_back(tmp_path: Path) -> None:
    issued = await run(tmp_path, {}, "token", "issue", "editor", "--days", "7")
    token = issued.stdout.strip()
    assert token.count(".") == 2
    assert token not in issued.stderr

    (row,) = (await run(tmp_path, {}, "token", "list", "--json")).json["tokens"]
    assert (row["name"], row["revoked_at"]) == ("editor", None)
    revoked = await run(tmp_path, {}, "token", "revoke", row["id"])
    assert (revoked.code, revoked.stderr) == (0, "The token editor is good no more.\n")
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        (("user", "create", "x@example.org"), b"", USAGE, "There is no password"),
        (("user", "create", "x@example.org"), b"secret\n", USAGE, "The password is not taken"),
        (("user", "disable", "nobody"), b"", NOT_FOUND, "There is no such user"),
        (("user", "unlink", "nobody"), b"", CONFIGURATION, "Nobody can be linked"),
    ],
    ids=["no password", "poor password", "no user", "no issuer"],
)
async def test_what_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, code: int, words: str
) -> None:
    ended = await run(tmp_path, {}, *arguments, stdin=stdin)
    assert ended.code == code
    assert ended.stderr.startswith(f"vel-tutor-mcp: {words}")
    assert one_sentence(ended.stderr.strip())
    assert "secret" not in ended.stderr
