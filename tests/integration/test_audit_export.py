"""An export is proven with nothing but the file and the public key, and whatever is done to it is found."""

import asyncio
import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from audit import ID, checkpoint, entries, fill_anew, harm, verdict

from vel_tutor_mcp.errors import ConfigurationError, InputError
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.audit.export import Format
from vel_tutor_mcp.services.audit.files import of_file
from vel_tutor_mcp.services.audit.keys import Keys, key_id
from vel_tutor_mcp.services.audit.trail import Audit
from vel_tutor_mcp.services.audit.verdict import Verdict
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.audit_chain import Flaw, row_hash
from vel_tutor_mcp.store.audit_reading import rows
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of

Lines = list[str]
Harm = Callable[[Lines], Lines]

ME = Principal(user_id=ID, organisation_id=ID, name="jo", role="admin")
# Nine entries and that of the export, behind a header and a checkpoint, before a seal.
FIRST = 2


@pytest.fixture
def database(stored_in: Settings) -> Database:
    database = database_of(stored_in)
    fill_anew(database, 9)
    return database


@pytest.fixture
def keys(stored_in: Settings) -> Keys:
    return Keys(stored_in)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "export"


def exported(
    database: Database, keys: Keys, file: Path, form: Format = "jsonl", who: Principal = ME, **wanted: Any
) -> None:
    async def export() -> None:
        try:
            with file.open("w", encoding="utf-8", newline="\n") as stream:
                await Audit(database, keys).export(who, form, stream.write, **wanted)
        finally:
            await database.close()

    asyncio.run(export())


def after(file: Path, harm: Harm) -> Verdict:
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(f"{line}\n" for line in harm(lines)), encoding="utf-8", newline="\n")
    return of_file(file, None)


def told(found: Verdict) -> tuple[Flaw | None, int | None]:
    return (found.fault.flaw, found.fault.sequence) if found.fault else (None, None)


def line(place: int, **changes: Any) -> Harm:
    """The entry of this number, changed; with the hash that it then should have where that is given as True."""

    def harmed(lines: Lines) -> Lines:
        entry = json.loads(lines[FIRST + place - 1]) | changes
        if entry["hash"] is True:
            row = dict.fromkeys(("address", "user_agent")) | entry
            entry["hash"] = row_hash(row | {"payload": json.dumps(entry["payload"], separators=(",", ":"))})
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return [*lines[: FIRST + place - 1], text, *lines[FIRST + place :]]

    return harmed


def without(*places: int) -> Harm:
    return lambda lines: [line for place, line in enumerate(lines) if place not in places]


def swapped(one: int, other: int) -> Harm:
    places = {one: other, other: one}
    return lambda lines: [lines[places.get(place, place)] for place in range(len(lines))]


def spelled(place: int, old: str, new: str) -> Harm:
    return lambda lines: [text.replace(old, new, 1) if number == place else text for number, text in enumerate(lines)]


HARMS: dict[str, tuple[Harm, Flaw, int | None]] = {
    "changed": (line(4, action="undone"), Flaw.CHANGED, 4),
    "changed with its hash": (line(4, action="undone", hash=True), Flaw.CHANGED, 4),
    "the last changed with its hash": (line(10, action="undone", hash=True), Flaw.NOT_SIGNED_SO, 10),
    "a field added": (line(4, comment="x"), Flaw.CHANGED, 4),
    "spelled otherwise": (spelled(5, ",", ", "), Flaw.CHANGED, 4),
    "a key twice": (spelled(5, '"at":', '"at":"","at":'), Flaw.CHANGED, 4),
    "no JSON": (spelled(5, "{", ""), Flaw.CHANGED, 4),
    "removed": (without(5), Flaw.REMOVED, 4),
    "the first removed": (without(2), Flaw.REMOVED, 1),
    "the last removed": (without(11), Flaw.REMOVED, 10),
    "cut": (lambda lines: lines[:8], Flaw.REMOVED, 7),
    "swapped": (swapped(5, 6), Flaw.SWAPPED, 4),
    "far ones swapped": (swapped(3, 10), Flaw.SWAPPED, 2),
    "a line twice": (lambda lines: [*lines[:6], lines[5], *lines[6:]], Flaw.ADDED, 4),
    "an entry behind the last": (
        lambda lines: [*lines[:12], lines[11].replace('"sequence":10', '"sequence":11'), lines[12]],
        Flaw.ADDED,
        11,
    ),
    "an entry behind the seal": (lambda lines: [*lines, lines[11]], Flaw.ADDED, None),
    "the seal removed": (without(12), Flaw.REMOVED, None),
    "the seal's count changed": (spelled(12, '"entries":10', '"entries":11'), Flaw.FORGED, None),
    "the header changed": (spelled(0, '"first":1', '"first":2'), Flaw.CHANGED, None),
    "the checkpoint removed": (without(1), Flaw.REMOVED, 11),
    "the checkpoint changed": (spelled(1, '"sequence":10', '"sequence":9'), Flaw.FORGED, 9),
}


def test_an_export_is_proven_with_the_file_and_the_public_key(database: Database, keys: Keys, file: Path) -> None:
    exported(database, keys, file)

    found, key = of_file(file, frozenset({keys.signer().public_key})), key_id(keys.signer().public_key)
    assert (found.ok, found.entries, found.first, found.last, found.signed) == (True, 10, 1, 10, 10)
    assert found.proof == f"Signed up to entry 10 with the key {key}."
    assert verdict(database, keys).signed == 10
    other = Keys(Settings(home=file.parent)).signer().public_key
    assert told(of_file(file, frozenset({other}))) == (Flaw.FORGED, 10)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_what_was_done_to_an_export_is_told(harm: str, database: Database, keys: Keys, file: Path) -> None:
    exported(database, keys, file)
    do, flaw, sequence = HARMS[harm]
    assert told(after(file, do)) == (flaw, sequence)


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_what_is_missing_before_a_checkpoint_in_an_export_is_told(database: Database, keys: Keys, file: Path) -> None:
    checkpoint(database, keys, 3, datetime.now(UTC))
    exported(database, keys, file)
    assert told(after(file, without(3, 4, 5))) == (Flaw.REMOVED, 1)


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_no_byte_of_an_export_can_be_changed_unnoticed(database: Database, keys: Keys, file: Path) -> None:
    exported(database, keys, file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 53):
        other = b"1" if whole[place : place + 1] != b"1" else b"0"
        file.write_bytes(whole[:place] + other + whole[place + 1 :])
        try:
            assert not of_file(file, None).ok, place
        except InputError:
            assert place < whole.index(b"\n")


def test_a_filtered_export_says_so_and_is_sealed(database: Database, keys: Keys, file: Path) -> None:
    harm(database, "UPDATE audit_logs SET action = 'undone' WHERE sequence = 1")  # is not in it
    exported(database, keys, file, action="done", subject="task:1")

    found = of_file(file, None)
    assert (found.ok, found.entries, found.first, found.last) == (True, 8, 2, 9)
    assert found.proof.startswith("It holds what a filter let through (action done, subject task:1), sealed with the ")
    sealed = file.read_text(encoding="utf-8")
    for do, flaw, sequence in [
        (spelled(4, '"n":5', '"n":6'), Flaw.CHANGED, 5),
        (without(4), Flaw.REMOVED, None),
        (lambda lines: lines[:9], Flaw.REMOVED, None),
        (swapped(4, 5), Flaw.SWAPPED, 5),
        (spelled(0, "done", "gone"), Flaw.CHANGED, None),
        (line(4, hash=True, principal="li"), Flaw.CHANGED, 6),
    ]:
        file.write_text(sealed, encoding="utf-8")
        assert told(after(file, do)) == (flaw, sequence), (flaw, sequence)


@pytest.mark.parametrize(
    ("wanted", "found"), [({}, [1, 2, 3]), ({"until": "2026-11-24"}, [1, 2]), ({"principal": "x"}, [])]
)
def test_others_get_their_own_entries(
    wanted: dict[str, Any], found: list[int], database: Database, keys: Keys, file: Path
) -> None:
    harm(database, "DELETE FROM audit_logs WHERE sequence > 2", "UPDATE audit_logs SET owner_id = owner_id")
    me = replace(ME, role="viewer")
    exported(database, keys, file, who=me, **wanted)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [entry["sequence"] for entry in lines if "sequence" in entry] == found
    assert lines[0]["vel_tutor_audit"]["filter"]["visible to"] == "jo"

    exported(database, keys, file, who=replace(me, user_id=ID.replace("9", "8")))
    assert [entry["subject"] for entry in map(json.loads, file.read_text().splitlines()) if "sequence" in entry] == [
        "audit"
    ]


def test_a_table_keeps_every_field_and_no_formula(database: Database, keys: Keys, file: Path) -> None:
    me = replace(ME, name="=1+1", address="10.0.0.1", user_agent="'@x")
    exported(database, keys, file, "csv", who=me)

    found = of_file(file, None)
    assert (found.ok, found.entries, found.signed) == (True, 10, None)
    assert found.proof.startswith("CSV carries no signature: ")
    with file.open(encoding="utf-8", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert (last["principal"], last["user_agent"], last["address"], last["filter"]) == ("'=1+1", "''@x", "10.0.0.1", "")


@pytest.mark.parametrize(
    ("do", "flaw", "sequence"),
    [
        (spelled(4, "done", "gone"), Flaw.CHANGED, 4),
        (without(4), Flaw.REMOVED, 4),
        (swapped(4, 5), Flaw.SWAPPED, 4),
        (lambda lines: [*lines[:5], lines[4], *lines[5:]], Flaw.ADDED, 4),
        (spelled(4, ",", ',"'), Flaw.CHANGED, 4),
        (spelled(4, "4", "04"), Flaw.CHANGED, 4),
    ],
)
@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_what_was_done_to_a_table_is_told(
    do: Harm, flaw: Flaw, sequence: int, database: Database, keys: Keys, file: Path
) -> None:
    exported(database, keys, file, "csv")
    assert told(after(file, do)) == (flaw, sequence)


@pytest.mark.parametrize("text", ["", "{}\n", "a,b\n1,2\n", "\n", "\x1f\x8b\x00"])
def test_what_is_no_export_is_refused(text: str, file: Path) -> None:
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"^The file .*; name an export"):
        of_file(file, None)
    with pytest.raises(InputError, match="The file cannot be read; no such file or directory; name"):
        of_file(file.with_name("nothing"), None)


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_a_packed_export_is_read_too_and_a_cut_one_is_refused(database: Database, keys: Keys, file: Path) -> None:
    exported(database, keys, file)
    packed = gzip.compress(file.read_bytes())
    file.write_bytes(packed)
    assert of_file(file, None).ok
    file.write_bytes(packed[:-20])
    with pytest.raises(InputError, match="it is cut, or damaged"):
        of_file(file, None)


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_an_entry_that_was_made_unreadable_ends_the_export_by_its_number(
    database: Database, keys: Keys, file: Path
) -> None:
    harm(database, "UPDATE audit_logs SET payload = '{' WHERE sequence = 4")
    with pytest.raises(ConfigurationError, match="Entry 4 of the audit trail cannot be exported"):
        exported(database, keys, file)


def test_the_entries_are_those_of_the_database(database: Database, keys: Keys, file: Path) -> None:
    exported(database, keys, file)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[FIRST:-1]]
    kept = [
        {name: value for name, value in row.items() if value is not None} | {"payload": json.loads(row["payload"])}
        for row in rows(database, INSTALLATION, 1, 10)
    ]
    assert lines == kept
    assert [entry["hash"] for entry in lines[:9]] == [entry["hash"] for entry in entries(9)]
