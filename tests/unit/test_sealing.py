"""What is sealed opens with its key, for its purpose and its row, and nowhere else."""

import base64
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.auth.sealing import SecretKeys, key_id
from vel_tutor_mcp.errors import ConfigurationError

NOWHERE = Path("no-such-folder")
PURPOSE, ROW = "integration", ("integrations", "owner-1", "openai")


def a_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


OLD, NEW = a_key(), a_key()
KEYS = SecretKeys(OLD, NOWHERE)
CONTEXTS = st.lists(st.text(max_size=5), max_size=4)


@given(value=st.binary(max_size=200), purpose=st.text(max_size=9), context=CONTEXTS)
def test_what_is_sealed_opens_again(value: bytes, purpose: str, context: list[str]) -> None:
    sealed = KEYS.seal(value, purpose, context)
    assert KEYS.open(sealed, purpose, context) == value
    assert len(value) < 4 or value not in sealed
    assert KEYS.seal(value, purpose, context) != sealed


@given(value=st.binary(max_size=40), data=st.data())
def test_any_flipped_bit_is_refused(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(KEYS.seal(value, PURPOSE, ROW))
    place = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(ConfigurationError, match=r"cannot be opened; .*; "):
        KEYS.open(bytes(sealed), PURPOSE, ROW)


@given(value=st.binary(max_size=40), data=st.data())
def test_what_is_cut_or_longer_is_refused(value: bytes, data: st.DataObject) -> None:
    sealed = KEYS.seal(value, PURPOSE, ROW)
    shorter = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    longer = sealed + data.draw(st.binary(min_size=1, max_size=3))
    for changed in (shorter, longer):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            KEYS.open(changed, PURPOSE, ROW)


@given(contexts=st.lists(CONTEXTS, min_size=2, max_size=2, unique_by=tuple))
def test_what_is_moved_to_another_row_is_refused(contexts: list[list[str]]) -> None:
    ours, others = contexts
    with pytest.raises(ConfigurationError, match="belongs to something else"):
        KEYS.open(KEYS.seal(b"value", PURPOSE, ours), PURPOSE, others)


@given(purposes=st.lists(st.text(max_size=9), min_size=2, max_size=2, unique=True))
def test_another_purpose_is_refused(purposes: list[str]) -> None:
    ours, other = purposes
    with pytest.raises(ConfigurationError, match="belongs to something else"):
        KEYS.open(KEYS.seal(b"value", ours, ROW), other, ROW)


def test_a_purpose_is_not_taken_for_a_part_of_the_context() -> None:
    with pytest.raises(ConfigurationError, match="belongs to something else"):
        KEYS.open(KEYS.seal(b"value", "a", ("b", "c")), "a", ("bc",))


def test_the_first_key_seals_and_every_key_opens() -> None:
    sealed, both = KEYS.seal(b"value", PURPOSE, ROW), SecretKeys(f"{NEW}, {OLD}", NOWHERE)
    assert both.open(sealed, PURPOSE, ROW) == b"value"
    assert not both.is_current(sealed)
    anew = both.seal(b"value", PURPOSE, ROW)
    assert both.is_current(anew)
    assert [key_id(anew), key_id(sealed)] == both.ids()
    assert SecretKeys(NEW, NOWHERE).open(anew, PURPOSE, ROW) == b"value"


def test_a_missing_key_is_named_by_its_id_with_what_to_do() -> None:
    sealed = KEYS.seal(b"value", PURPOSE, ROW)
    with pytest.raises(ConfigurationError) as refusal:
        SecretKeys(NEW, NOWHERE).open(sealed, PURPOSE, ROW)
    assert f"the secret key {KEYS.ids()[0]}, which is not here; put that key behind" in str(refusal.value)
    assert OLD not in str(refusal.value)


NO_KEYS = {
    "nothing": "",
    "a comma": ",",
    "a letter": "x",
    "a part of a key": OLD[:-4],
    "a key and a word": f"{OLD},short",
    "letters of no alphabet": "ä" * 44,
    "a short key": base64.b64encode(b"1").decode(),
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="VEL_TUTOR_SECRET_KEY cannot be used") as refusal:
        SecretKeys(text, NOWHERE).ids()
    assert len(text) < 4 or text not in str(refusal.value)


def test_the_file_is_made_at_the_first_sealing_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    keys = SecretKeys(None, home)
    assert keys.ids() == []
    assert not home.exists()
    sealed = keys.seal(b"value", PURPOSE, ROW)
    assert SecretKeys(None, home).open(sealed, PURPOSE, ROW) == b"value"
    assert os.name != "posix" or stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert not list(home.glob("*.draft"))


def test_all_who_make_the_file_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(lambda _: SecretKeys(None, tmp_path).seal(b"value", PURPOSE, ROW), range(16)))
    assert len({key_id(one) for one in sealed}) == 1
    assert {SecretKeys(None, tmp_path).open(one, PURPOSE, ROW) for one in sealed} == {b"value"}


def test_a_key_that_is_put_into_the_file_is_seen_without_a_restart(tmp_path: Path) -> None:
    file, running = tmp_path / "secret.key", SecretKeys(None, tmp_path)
    old = running.seal(b"value", PURPOSE, ROW)
    file.write_text(f"{NEW}\n{file.read_text()}")
    assert running.open(SecretKeys(None, tmp_path).seal(b"new", PURPOSE, ROW), PURPOSE, ROW) == b"new"
    assert key_id(running.seal(b"value", PURPOSE, ROW)) == SecretKeys(NEW, NOWHERE).ids()[0]
    assert running.open(old, PURPOSE, ROW) == b"value"


def test_a_file_that_is_gone_or_damaged_is_told(tmp_path: Path) -> None:
    sealed, file = SecretKeys(None, tmp_path).seal(b"value", PURPOSE, ROW), tmp_path / "secret.key"
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="which is not here"):
        SecretKeys(None, tmp_path).open(sealed, PURPOSE, ROW)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"secret\.key cannot be used as the secret key"):
        SecretKeys(None, tmp_path).seal(b"value", PURPOSE, ROW)
