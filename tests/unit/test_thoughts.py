"""Thoughts in an answer, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.providers.thoughts import Thoughts


def heard(*pieces: str) -> str:
    thoughts = Thoughts()
    return "".join([*(thoughts.without(piece) for piece in pieces), thoughts.rest()])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Hello!", "Hello!"),
        ("<think>\nA greeting.\n</think>\n\nHello!", "Hello!"),
        ("<think></think>Hello!\n", "Hello!\n"),
        ("<think>a</think><think>b</think>", "<think>b</think>"),
        ("Say <think>so</think>.", "Say <think>so</think>."),
        (" <think>a</think>", " <think>a</think>"),
        ("<thinking>a</thinking>", "<thinking>a</thinking>"),
        ("<think>It goes on </thin", ""),
        ("<think>It is all.</think> \n", ""),
        ("<think>", ""),
        ("<thin", "<thin"),
        ("", ""),
    ],
)
def test_only_thoughts_that_an_answer_begins_with_are_taken_off(text: str, answer: str) -> None:
    assert heard(text) == heard(*text) == answer


@given(
    text=st.lists(st.sampled_from(["<think>", "</think>", "<", "think", " ", "\n", "a"]), max_size=12).map("".join),
    places=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_cut_of_the_text_gives_the_same_answer(text: str, places: list[int]) -> None:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]

    assert heard(*(text[start:end] for start, end in pairwise(edges))) == heard(text)


def test_an_answer_that_has_begun_is_heard_piece_by_piece() -> None:
    thoughts = Thoughts()

    told = [thoughts.without(piece) for piece in ("<thi", "nk>Hm.</th", "ink>", "\n", " Hel", "lo", " <", "think>")]

    assert told == ["", "", "", "", "Hel", "lo", " <", "think>"]


def test_long_thoughts_are_not_kept() -> None:
    thoughts = Thoughts()
    thoughts.without("<think>")
    for _ in range(1000):
        thoughts.without("and so on, ")

    assert len(thoughts._held) < len("</think>")
    assert thoughts.without("</think>Yes.") == "Yes."
