"""A prompt as the weights see it."""

from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.routing.encoding import encoded, encoded_tokens
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.ngrams import hashes
from vel_tutor_mcp.routing.traits import NAMES


@given(st.text(max_size=300) | st.text(alphabet="a-'\u2019\n?.7 ", max_size=6000))
def test_what_the_features_have_read_is_what_weights_are_trained_on(prompt: str) -> None:
    assert encoded_tokens(prompt, features(prompt).tokens) == encoded(prompt)


@given(st.text(max_size=300))
def test_each_trait_has_its_name(prompt: str) -> None:
    assert len(encoded(prompt).traits) == len(NAMES)


def test_numbers_are_counted_by_kind() -> None:
    seen = dict(
        zip(NAMES, encoded("Half of 3 cakes costs $12.50, 1200 of them 4.5 times as much.").traits, strict=True)
    )
    counted = ("numbers", "decimals", "long numbers", "prices", "parts")
    assert {name: seen[name] for name in counted} == {
        "numbers": 6,
        "decimals": 2,
        "long numbers": 3,
        "prices": 1,
        "parts": 2,
    }


def test_the_last_question_has_ngrams_of_its_own() -> None:
    plain = set(hashes(["he", "ran", ".", "why", "?"]))
    asked = encoded("He ran. Why?").grams - plain
    assert len(asked) == len(hashes(["why", "?"]))
    assert asked <= encoded("Is it late? He sat. Why?\nA. He was tired.").grams
    assert encoded("He ran.").grams == set(hashes(["he", "ran", "."]))
