import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.routing.ngrams import BUCKETS, buckets, figures, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Don't PANIC, step-by-step", ["don", "t", "panic", ",", "step", "by", "step"]),
        ("3 apples cost $12.50", ["3", "apples", "cost", "$", "12", ".", "50"]),
        ("Über Straße", ["über", "straße"]),
        ("你好 world", ["你", "好", "world"]),
        ("snake_case()", ["snake", "case", "(", ")"]),
    ],
)
def test_a_text_is_cut_into_words_numbers_and_marks(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_only_the_ends_of_a_long_text_are_looked_at() -> None:
    assert tokens("begin " + "middle " * 10_000 + "end")[-1] == "end"
    assert len(tokens("word " * 10_000)) < 1000


def test_a_pair_has_a_bucket_of_its_own_that_depends_on_its_order() -> None:
    sort, both = buckets(["sort"]), buckets(["sort", "list"])
    assert sort == {zlib.crc32(b"sort") % BUCKETS}
    assert len(both - sort - buckets(["list"])) == 1
    assert len(both & buckets(["list", "sort"])) == 2


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_has_its_buckets(text: str) -> None:
    words = tokens(text)
    found = buckets(words)
    assert bool(found) == bool(words)
    assert len(found) <= max(0, 2 * len(words) - 1)
    assert all(0 <= bucket < BUCKETS for bucket in found)


@given(st.text())
def test_figures_are_the_tokens_that_are_numbers(text: str) -> None:
    words = tokens(text)
    assert list(figures(text, words)) == [word for word in words if word.isdigit()]


@given(st.text(alphabet=st.characters(max_codepoint=127)) | st.text(alphabet="a1B2_.- \n\x1c"))
def test_ascii_has_the_tokens_that_it_has_beside_other_letters(text: str) -> None:
    assert [*tokens(text), "é"] == tokens(f"{text} é")
