"""What is seen in a prompt is searched for in ways that cost little: they find what plain patterns find."""

import re

from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.routing.ngrams import tokens
from vel_tutor_mcp.routing.signals import signals_in

CALCULATION = re.compile(r"\d(?:\s*[*/^=]\s*\(?\d|\s+[-+]\s+\d)")
ASSIGNMENT = re.compile(r"[a-z]\s*=\s*-?\d")
CALL = re.compile(r"\.\w+\(|=[A-Z]{2}\w*\(")
CODE_END = re.compile(r"(?:;|\{|\}|\):)\n")

# Digits, letters and spaces of ASCII and of other scripts, and the marks that shapes are made of.
TEXTS = st.text(alphabet="0٣²1aAé \xa0\x1c\n=*+-/^(){};:.`?")


@given(TEXTS)
def test_an_equation_is_seen_where_a_plain_pattern_finds_one(text: str) -> None:
    numbers = [word for word in tokens(text) if word.isdigit()]
    calculates = len(numbers) > 1 and CALCULATION.search(text)
    assigns = numbers and ASSIGNMENT.search(text)
    expected = bool(calculates or assigns) and "```" not in text
    assert ("equation" in signals_in(text).weights) is expected


@given(TEXTS)
def test_code_is_seen_where_plain_patterns_find_it(text: str) -> None:
    seen = signals_in(text).weights
    calls = re.search(r"\w\(", text) and CALL.search(text)
    assert ("inline_code" in seen) is bool("`" in text or "()" in text or calls)
    assert ("code_end" in seen) is bool(CODE_END.search(f"{text}\n"))


@given(TEXTS)
def test_a_question_mark_is_known_to_be_among_the_tokens(text: str) -> None:
    signals = signals_in(text)
    assert signals.asks is ("?" in signals.tokens)
