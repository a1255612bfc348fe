"""Whose an item of Task Master's is, and whether what was written to it stays, as tables."""

import pytest

from vel_tutor_mcp.taskmaster.items import Item, Status
from vel_tutor_mcp.taskmaster.writing import Wish

STATUSES = {"p": Status.PENDING, "i": Status.IN_PROGRESS, "d": Status.DONE, "r": Status.REVIEW, "f": Status.DEFERRED}
NOTES = {"-": None, "c": {"run_id": "ours"}, "n": {"run_id": "ours", "output": "here"}, "o": {"run_id": "another"}}
CLAIM, RESULT, RETURN = (
    Wish("master", "1", status, vel)
    for status, vel in (
        (Status.IN_PROGRESS, {"run_id": "ours"}),
        (Status.DONE, {"run_id": "ours", "output": "here"}),
        (Status.PENDING, {"run_id": "ours", "error": "cancelled"}),
    )
)


def item(text: str) -> Item:
    """From `ic`: its status, and the note in it: none, our claim, our result, or another run's."""
    note = NOTES[text[1]]
    return Item(id="1", status=STATUSES[text[0]], metadata={} if note is None else {"vel": note})


@pytest.mark.parametrize(
    ("wish", "own", "not_own"),
    [
        (RESULT, "ic in dc dn p- po", "pc pn io do rc fc i- d-"),
        (RETURN, "ic in pc pn", "p- po io i- dc d-"),
    ],
    ids=["a result", "given back"],
)
def test_an_item_is_a_run_s_if_only_the_run_or_a_stale_write_has_touched_it(wish: Wish, own: str, not_own: str) -> None:
    found = {text: wish.is_claimed(item(text)) for text in f"{own} {not_own}".split()}
    assert " ".join(text for text, is_own in found.items() if is_own) == own


@pytest.mark.parametrize(
    ("wish", "before", "stays", "undone"),
    [
        (CLAIM, "p-", "ic rc dc fc", "p- pc i- io"),
        (CLAIM, "po", "ic fc", "po pc io"),
        (RESULT, "ic", "dn rn fn pn", "ic in dc d- p-"),
        (RESULT, "p-", "dn rn", "p- pn in"),
        (RESULT, "dc", "dn rn", "dc in"),
    ],
)
def test_a_write_stays_unless_its_note_is_gone_or_its_status_is_that_of_before(
    wish: Wish, before: str, stays: str, undone: str
) -> None:
    found = {text: wish.stands(item(text), item(before)) for text in f"{stays} {undone}".split()}
    assert " ".join(text for text, stands in found.items() if stands) == stays


@pytest.mark.parametrize(
    ("wish", "before", "free", "taken"),
    [
        (CLAIM, "p-", "p- pc i- ic po", "io do d- dc f- fc"),
        (CLAIM, "po", "po pc p- io ic", "do fo"),
        (RESULT, "ic", "ic in dn dc p-", "io do rn fc"),
    ],
)
def test_a_write_is_made_again_unless_somebody_else_has_the_item_now(
    wish: Wish, before: str, free: str, taken: str
) -> None:
    found = {text: wish.is_free(item(text), item(before)) for text in f"{free} {taken}".split()}
    assert " ".join(text for text, is_free in found.items() if is_free) == free
