"""Which answers of a provider prove a key, and what is said of the others."""

import pytest

from vel_tutor_mcp.providers.visit import Visit
from vel_tutor_mcp.services.integrations import refusal


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Visit(status=200, models=3), None),
        (Visit(status=200, models=0), None),
        (Visit(status=400, asked_to_chat=True), None),
        (Visit(status=422, asked_to_chat=True), None),
        (Visit(status=200, asked_to_chat=True), None),
        (Visit(status=401), "openai refuses the key (401)"),
        (Visit(status=401, asked_to_chat=True), "openai refuses the key (401)"),
        (Visit(status=403), "openai refuses the key (403)"),
        (Visit(status=402), "openai takes no calls with this key (402)"),
        (Visit(status=200), "openai answered 200 to the test"),
        (Visit(status=302), "openai answered 302 to the test"),
        (Visit(status=400), "openai answered 400 to the test"),
        (Visit(status=404, asked_to_chat=True), "openai answered 404 to the test"),
        (Visit(status=429), "openai answered 429 to the test"),
        (Visit(status=503), "openai answered 503 to the test"),
        (Visit(problem="no answer within 10 s"), "openai cannot be reached: no answer within 10 s"),
    ],
    ids=repr,
)
def test_what_an_answer_says_of_a_key(seen: Visit, told: str | None) -> None:
    said = refusal("openai", seen)
    assert (said is None) == (told is None)
    assert said is None or said.startswith(f"{told}; ")
