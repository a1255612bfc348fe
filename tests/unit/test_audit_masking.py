"""Secrets and personal data never get into an entry; ids, times, amounts and plain words do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.store.audit_masking import masked, masked_text

JWT = "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.eyJzdWIiOiJqbyIsInJvbGUiOiJhZG1pbiJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"

MASKED = [
    ("sk-proj-Ab12Cd34Ef56Gh78Ij90", "[masked api key]"),
    ("sk-ant-api03-Ab12Cd34Ef56Gh78", "[masked api key]"),
    ("key gsk_Ab12Cd34Ef56Gh78Ij90 was refused", "key [masked api key] was refused"),
    ("pplx-Ab12Cd34Ef56Gh78Ij90", "[masked api key]"),
    ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "[masked api key]"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[masked api key]"),
    ("AKIAIOSFODNN7EXAMPLE", "[masked api key]"),
    ("Bearer abcdef0123456789abcdef", "[masked token]"),
    ("Authorization: Bearer abcdef0123456789", "Authorization:[masked secret]"),
    ("authorization=Basic am86c2VjcmV0", "authorization=[masked secret]"),
    (f"with {JWT} in it", "with [masked token] in it"),
    (f"a\n{PEM}\nb", "a\n[masked private key]\nb"),
    ("cut -----BEGIN PRIVATE KEY-----\nMIIEvQ", "cut [masked private key]"),
    ("postgresql://jo:s3cr3t@host:5432/db", "postgresql://[masked secret]@host:5432/db"),
    ("redis://:p@ss/word@host", "redis://[masked secret]@host"),
    ("https://token@host/x", "https://[masked secret]@host/x"),
    ("https://host/v1?key=abc123&x=1", "https://host/v1?key=[masked secret]&x=1"),
    ("password=hunter2 and more", "password=[masked secret] and more"),
    ("API-Key: 12345", "API-Key:[masked secret]"),
    ("Jo <jo.doe+x@example.co.uk>", "Jo <[masked e mail]>"),
    ("jürgen@müller.de", "[masked e mail]"),
    ("4111 1111 1111 1111", "[masked card]"),
    ("card 4111111111111111.", "card [masked card]."),
    ("5500-0055-5555-5559 12", "[masked card] 12"),
    ("378282246310005", "[masked card]"),
    ("DE89370400440532013000 AND MORE", "[masked account] AND MORE"),
    ("GB82 WEST 1234 5698 7654 32", "[masked account]"),
    ("+49 30 1234567", "[masked phone]"),
    ("+1 (415) 555-2671", "[masked phone]"),
    ("0049301234567", "[masked phone]"),
    ("(415) 555-2671", "[masked phone]"),
    ("call 415.555.2671", "call [masked phone]"),
    ("0171/1234567", "[masked phone]"),
]

KEPT = [
    "task:917e6895-66c8-445f-b6d6-6f615c07879c",
    "run:44444444-4444-4444-8444-444444444444",
    "openai/gpt-oss-20b",
    "claude-sonnet-4-5-20250929",
    "2026-11-23T08:00:00.000000+00:00",
    "2026-11-23 08:00:00",
    "4111 1111 1111 1112",
    "DE89370400440532013001",
    "1763900000000",
    "a basic understanding of bearer shares",
    "risk-assessment-of-the-project",
    "task-0123456789abcdef0123",
    "https://api.openai.com:443/v1/chat/completions?model=x",
    "no model is left: groq (open circuit), openai (rate limit)",
    "0.000012 of 5.00 USD, 80 %",
    "",
]


@pytest.mark.parametrize(("text", "shown"), MASKED)
def test_what_must_not_be_kept_is_masked(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    assert masked_text(text) == text


def test_it_is_found_however_deep_it_is_and_by_the_name_that_it_has() -> None:
    value = {"a": [{"b": "jo@example.com"}], "Password": "x", "token": None, "tokens_in": 7, "jo@example.com": True}
    assert masked(value) == {
        "a": [{"b": "[masked e mail]"}],
        "Password": "[masked secret]",
        "token": None,
        "tokens_in": 7,
        "[masked e mail]": True,
    }


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(), st.lists))
def test_numbers_are_no_texts(value: Any) -> None:
    assert repr(masked(value)) == repr(value)


@given(st.text())
def test_what_was_masked_stays_as_it_is(text: str) -> None:
    assert masked_text(masked_text(text)) == masked_text(text)


@pytest.mark.timeout(30)  # quadratic time would take hours
@pytest.mark.parametrize(
    "part", ["a", "1", "4 ", "a@", "a.", "://:", "password=", "eyJ", "-----BEGIN ", "DE89 ", "+1("]
)
def test_long_texts_that_almost_match_are_soon_through(part: str) -> None:
    assert masked_text(part * (300_000 // len(part)))
