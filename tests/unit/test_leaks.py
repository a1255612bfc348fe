"""The search for secrets in what the tests leave behind finds them, in every form and place."""

import base64
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from heard import GIVES_TOKENS, note
from leaks import leaks
from planted import key

from vel_tutor_mcp.auth.tokens import Claims, SigningKey, Tokens
from vel_tutor_mcp.services import record

SIGNING = SigningKey.new()
KEY = key("gsk")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the suite's own search does not look."""
    with TemporaryDirectory() as made:
        yield Path(made)


def token() -> str:
    at = record.now()
    claims = Claims(
        user_id="u", organisation_id="o", role="admin", grant_id="g", token_id="t", issued_at=at,
        expires_at=at + timedelta(hours=1),
    )  # fmt: skip
    return Tokens("https://tutor.example").signed(claims, SIGNING)


@pytest.mark.parametrize(
    "written",
    [str, quote, lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(), lambda text: text.encode().hex()],
    ids=["as it is", "in a URL", "in base64", "in hexadecimal"],
)
def test_a_planted_key_is_found_however_it_is_written(folder: Path, written: Callable[[str], str]) -> None:
    (folder / "server.log").write_text(f"calling with {written(KEY)} failed")
    (told,) = leaks(folder)
    assert "server.log" in told


@pytest.mark.parametrize("secret", [token(), f"vtr_{secrets.token_urlsafe(32)}"], ids=["access", "refresh"])
def test_a_token_is_found_but_where_it_was_asked_for(folder: Path, secret: str) -> None:
    (folder / "answer").write_text(f'{{"title": "{secret}"}}')
    assert len(leaks(folder)) == 1


@pytest.mark.parametrize("name", ["secret.key", "audit.key", "keys/signing-1.pem"])
def test_a_key_of_a_home_is_found_anywhere_but_there(folder: Path, name: str) -> None:
    raw = SIGNING.private.private_bytes_raw()
    kept = {"secret.key": base64.b64encode(raw), "audit.key": raw.hex().encode()}
    (folder / "keys").mkdir()
    (folder / name).write_bytes(kept.get(name, SIGNING.pem))
    (folder / "other").mkdir()
    (folder / "other" / "audit.key").write_text("spoilt")
    assert leaks(folder) == []
    for written in (raw, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(b"x" + raw)):
        (folder / "copy").write_bytes(b"begins" + written)
        assert len(leaks(folder)) == 1


def test_a_key_is_found_in_a_row_that_spans_pages_and_is_only_in_the_log_of_writes(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "tutor.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE tasks (prompt TEXT)")
        database.execute("INSERT INTO tasks VALUES (?)", (f"{'x' * 4070}{KEY}" * 3,))
        database.commit()
        assert [told for told in leaks(folder) if "tutor.db: " in told]


def test_who_asks_for_a_token_is_told_it_and_nothing_else(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, (folder / "heard").open("wb") as stream:
        patch.setattr("heard._Kept.stream", stream)
        for of in GIVES_TOKENS:
            note(token(), of=of)
        note(KEY, of="POST /api/auth/login")
        note(token(), of="GET /api/users/me")
    told = leaks(folder)
    assert len(told) == 2
    assert all("test_who_asks_for_a_token" in one for one in told)
