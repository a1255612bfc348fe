"""Whatever one does to an entry of the chain is found, and the entry is named with what was done to it."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vel_tutor_mcp.store.audit_chain import BEGINNING, GENESIS, Flaw, canonical, follows, row_hash, walk, walk_apart

Row = dict[str, Any]
Rows = list[Row]
Harm = Callable[[Rows], Rows]

FIELDS = ("organisation_id", "owner_id", "at", "principal", "action", "subject", "payload", "address", "user_agent")


def hashed(row: Row) -> Row:
    return row | {"hash": row_hash(row)}


def linked(contents: list[Row], before: int = 0, previous: str = GENESIS) -> Rows:
    rows: Rows = []
    for number, content in enumerate(contents, before + 1):
        rows.append(hashed(content | {"sequence": number, "previous_hash": previous}))
        previous = rows[-1]["hash"]
    return rows


def chain(length: int) -> Rows:
    return linked([content(number) for number in range(1, length + 1)])


def content(number: int, **changes: Any) -> Row:
    named = {name: f"{name} {number}" for name in FIELDS} | {"payload": canonical({"n": number}), "address": None}
    return named | changes


def changed(place: int, **values: Any) -> Harm:
    return lambda rows: [row | values if row["sequence"] == place else row for row in rows]


def rehashed(place: int, **values: Any) -> Harm:
    return lambda rows: [hashed(row | values) if row["sequence"] == place else row for row in rows]


def without(*places: int) -> Harm:
    return lambda rows: [row for row in rows if row["sequence"] not in places]


def with_another(place: int, **values: Any) -> Harm:
    """Behind that place, which may be the end."""
    return lambda rows: [
        *rows[:place],
        hashed(content(99, sequence=place + 1, previous_hash="0") | values),
        *rows[place:],
    ]


def in_places_of(one: int, other: int) -> Harm:
    places = {one: other, other: one}
    return lambda rows: [rows[places.get(number, number) - 1] for number in range(1, len(rows) + 1)]


def renumbered(harm: Harm) -> Harm:
    return lambda rows: [row | {"sequence": number} for number, row in enumerate(harm(rows), 1)]


# Of nine entries; the number names the first entry that is not as it was written.
HARMS: dict[str, tuple[Harm, Flaw, int]] = {
    "changed": (changed(4, action="undone"), Flaw.CHANGED, 4),
    "given an address": (changed(4, address="10.0.0.1"), Flaw.CHANGED, 4),
    "taken its user agent": (changed(4, user_agent=None), Flaw.CHANGED, 4),
    "its payload is spelled otherwise": (changed(4, payload='{"n": 4}'), Flaw.CHANGED, 4),
    "its payload is no JSON": (changed(4, payload="{"), Flaw.CHANGED, 4),
    "holds what no entry can": (changed(4, principal=b"jo"), Flaw.CHANGED, 4),
    "the first is changed": (changed(1, action="undone"), Flaw.CHANGED, 1),
    "the last is changed": (changed(9, action="undone"), Flaw.CHANGED, 9),
    "changed with its hash": (rehashed(4, action="undone"), Flaw.CHANGED, 4),
    "the first is changed with its hash": (rehashed(1, action="undone"), Flaw.CHANGED, 1),
    "linked elsewhere, with its hash": (rehashed(4, previous_hash=GENESIS), Flaw.CHANGED, 4),
    "removed": (without(4), Flaw.REMOVED, 4),
    "several removed": (without(4, 5, 6), Flaw.REMOVED, 4),
    "the first is removed": (without(1), Flaw.REMOVED, 1),
    "removed and renumbered": (renumbered(without(4)), Flaw.REMOVED, 4),
    "two removed and renumbered": (renumbered(without(4, 5)), Flaw.REMOVED, 4),
    "neighbours swapped": (in_places_of(4, 5), Flaw.SWAPPED, 4),
    "far ones swapped": (in_places_of(2, 8), Flaw.SWAPPED, 2),
    "the last two swapped": (in_places_of(8, 9), Flaw.SWAPPED, 8),
    "neighbours swapped and renumbered": (renumbered(in_places_of(4, 5)), Flaw.SWAPPED, 4),
    "far ones swapped and renumbered": (renumbered(in_places_of(2, 8)), Flaw.SWAPPED, 2),
    "added with a number that is there": (with_another(4, sequence=4), Flaw.ADDED, 4),
    "added at the end": (with_another(9), Flaw.ADDED, 10),
    "added and renumbered": (renumbered(with_another(4)), Flaw.ADDED, 5),
    "added with the right link, and renumbered": (
        lambda rows: renumbered(with_another(4, previous_hash=rows[3]["hash"]))(rows),
        Flaw.ADDED,
        5,
    ),
    "added without a hash and renumbered": (
        renumbered(lambda r: [*r[:4], content(9, **r[4]) | {"action": "x"}, *r[4:]]),
        Flaw.ADDED,
        5,
    ),
    "repeated and renumbered": (renumbered(lambda rows: [*rows[:4], rows[3], *rows[4:]]), Flaw.ADDED, 5),
    "removed, and the next one twice": (lambda rows: [*rows[:3], rows[4], *rows[4:]], Flaw.REMOVED, 4),
    "all behind a beginning of its own": (lambda rows: linked(rows, previous="f" * 64), Flaw.CHANGED, 1),
    "added before the first": (lambda rows: [row | {"sequence": 0} for row in rows[:1]] + rows, Flaw.ADDED, 0),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_was_done_is_told_and_where(harm: str) -> None:
    do, flaw, sequence = HARMS[harm]
    fault = walk(do(chain(9)), {}, {}).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (flaw, sequence)
    assert str(sequence) in fault.message


NOT_SIGNED = (
    "entry 4 is not the one that was signed: it, or one before it, was changed, and all behind that one were given "
    "other hashes"
)
NOT_ARCHIVED = "entries 1 to 4 are missing, and no signed checkpoint says that they were archived"
WORDS = {
    "changed": "entry 4 is not what its hash was made of",
    "the first is changed with its hash": "entry 1 was changed and given another hash than the next one knows",
    "linked elsewhere, with its hash": "entry 4 was changed and given another hash: it follows from none",
    "removed": "entry 4 is missing",
    "several removed": "entries 4 to 6 are missing",
    "the first is removed": "entry 1 is missing, and no signed checkpoint says that they were archived",
    "removed and renumbered": "entry 4 is missing, and those behind were given other numbers",
    "two removed and renumbered": "entries 4 to 5 are missing, and those behind were given other numbers",
    "neighbours swapped": "entry 5 stands where entry 4 belongs",
    "far ones swapped and renumbered": "what stands as entry 2 was written as entry 8",
    "added with a number that is there": "an entry with the number 4 stands behind entry 4",
    "added and renumbered": "entry 5 was added: the one behind it was written with its number",
    "repeated and renumbered": "what stands as entry 5 is another entry 4",
    "added at the end": (
        "entry 10 does not follow from entry 9: it was added, or that one was changed and given another hash"
    ),
}


@pytest.mark.parametrize("harm", WORDS)
def test_what_was_done_is_told_in_words(harm: str) -> None:
    fault = walk(HARMS[harm][0](chain(9)), {}, {}).fault
    assert fault is not None
    assert fault.message == WORDS[harm]


@given(st.integers(0, 12))
def test_an_untouched_chain_holds_to_its_end(length: int) -> None:
    rows = chain(length)
    walked = walk(rows, {}, {})
    assert (walked.entries, walked.first, walked.fault) == (length, 1 if rows else None, None)
    assert (walked.last or BEGINNING).hash == (rows[-1]["hash"] if rows else GENESIS)


@given(st.integers(1, 9), st.sampled_from([*FIELDS, "previous_hash", "hash"]), st.none() | st.text() | st.integers())
def test_any_change_of_any_field_is_found_at_its_entry(place: int, field: str, value: Any) -> None:
    rows = chain(9)
    assume(canonical(rows[place - 1][field]) != canonical(value))
    fault = walk(changed(place, **{field: value})(rows), {}, {}).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.CHANGED, place)


@given(st.permutations(range(1, 8)))
def test_any_other_order_is_found(order: list[int]) -> None:
    rows, found = chain(7), [number for number, place in enumerate(order, 1) if number != place]
    fault = walk([rows[number - 1] for number in order], {}, {}).fault
    assert (fault is not None) == bool(found)
    assert fault is None or fault.sequence == found[0]


@given(st.sets(st.integers(1, 9), min_size=1, max_size=8))
def test_any_removal_before_the_end_is_found(places: set[int]) -> None:
    assume(max(set(range(1, 10)) - places) > min(places))
    fault = walk(without(*places)(chain(9)), {}, {}).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.REMOVED, min(places))


@given(st.integers(1, 9), st.integers(1, 9))
def test_hashing_all_anew_does_not_help_before_what_was_signed(place: int, signed: int) -> None:
    rows = chain(9)
    forged = linked([{name: row[name] for name in FIELDS} for row in changed(place, action="undone")(rows)])
    fault = walk(forged, {signed: rows[signed - 1]["hash"]}, {}).fault
    if place > signed:
        assert fault is None
    else:
        assert fault is not None
        assert (fault.flaw, fault.sequence) == (Flaw.NOT_SIGNED_SO, signed)


@pytest.mark.parametrize(
    ("length", "missing"), [(0, "entries 1 to 7 are"), (1, "entries 2 to 7 are"), (6, "entry 7 is")]
)
def test_an_end_that_was_signed_and_is_missing_is_found(length: int, missing: str) -> None:
    rows = chain(9)
    fault = walk(rows[:length], {7: rows[6]["hash"]}, {}).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence) == (Flaw.REMOVED, length + 1)
    assert fault.message == f"{missing} missing: they were there when entry 7 was signed"


def test_an_end_that_was_signed_and_is_there_holds() -> None:
    rows = chain(7)
    assert walk(rows, {7: rows[6]["hash"]}, {}).fault is None


@pytest.mark.parametrize(
    ("starts", "found"),
    [
        (lambda rows: {4: rows[3]["hash"]}, None),
        (lambda _: None, None),
        (lambda _: {}, (Flaw.REMOVED, 1, NOT_ARCHIVED)),
        (lambda rows: {3: rows[2]["hash"]}, (Flaw.REMOVED, 1, NOT_ARCHIVED)),
        (lambda _: {4: GENESIS}, (Flaw.NOT_SIGNED_SO, 4, NOT_SIGNED)),
    ],
    ids=["archived", "anywhere", "nothing archived", "less archived", "archived otherwise"],
)
def test_a_chain_may_begin_behind_what_was_archived(
    starts: Callable[[Rows], dict[int, str] | None], found: tuple[Flaw, int, str] | None
) -> None:
    rows = chain(9)
    walked = walk(rows[4:], {}, starts(rows))
    assert walked.first == (5 if found is None else None)
    fault = walked.fault
    assert (fault and (fault.flaw, fault.sequence, fault.message)) == found


@given(st.text(), st.text(), st.none() | st.text(), st.text())
def test_the_hash_of_a_row_is_that_of_its_entry(action: str, subject: str, address: str | None, word: str) -> None:
    row = content(1, action=action, subject=subject, address=address, payload=canonical({word: word}))
    row |= {"sequence": 1, "previous_hash": GENESIS}
    entry = {name: value for name, value in row.items() if value is not None} | {"payload": json.loads(row["payload"])}
    assert row_hash(row) == sha256(canonical(entry).encode()).hexdigest()


@pytest.mark.parametrize(
    ("row", "before", "holds"),
    [
        (lambda rows: rows[0], lambda _: None, True),
        (lambda rows: rows[1], lambda _: None, True),
        (lambda _: linked([content(1)], previous="f" * 64)[0], lambda _: None, False),
        (lambda rows: rows[4], lambda rows: rows[3], True),
        (lambda rows: rows[4], lambda rows: rows[2], False),
        (lambda rows: rows[4] | {"action": "undone"}, lambda rows: rows[3], False),
        (lambda rows: rows[4] | {"action": "undone"}, lambda _: None, False),
        (lambda rows: hashed(rows[4] | {"previous_hash": GENESIS}), lambda rows: rows[3], False),
        (lambda rows: hashed(rows[4] | {"sequence": 6}), lambda rows: rows[3], False),
    ],
)
def test_a_row_follows_right_behind_the_one_before_and_unchanged(
    row: Callable[[Rows], Row], before: Callable[[Rows], Row | None], holds: bool
) -> None:
    rows = chain(9)
    assert follows(row(rows), before(rows)) is holds


@given(st.sets(st.integers(1, 9)))
def test_rows_between_which_others_stood_hold(places: set[int]) -> None:
    rows = [row for row in chain(9) if row["sequence"] in places]
    walked = walk_apart(rows)
    assert (walked.entries, walked.first, walked.fault) == (len(places), min(places, default=None), None)
    assert (walked.last and (walked.last.sequence, walked.last.hash)) == (
        (rows[-1]["sequence"], rows[-1]["hash"]) if rows else None
    )


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (changed(4, action="undone"), (Flaw.CHANGED, 4, "entry 4 is not what its hash was made of")),
        (in_places_of(4, 5), (Flaw.SWAPPED, 4, "entry 4 stands behind entry 5")),
        (lambda rows: [*rows[:4], *rows[3:]], (Flaw.SWAPPED, 4, "entry 4 stands behind entry 4")),
        (
            rehashed(4, action="undone"),
            (Flaw.CHANGED, 4, "entry 4 was changed and given another hash than the next one knows"),
        ),
    ],
    ids=["changed", "swapped", "twice", "changed with its hash"],
)
def test_what_was_done_to_rows_between_which_others_stood_is_told(harm: Harm, found: tuple[Flaw, int, str]) -> None:
    fault = walk_apart(without(7)(harm(chain(9)))).fault
    assert fault is not None
    assert (fault.flaw, fault.sequence, fault.message) == found
