"""What is remembered of models, for an owner with lines of their own and for everybody else."""

import pytest

from vel_tutor_mcp.routing.lines import as_catalogued, name_of

MINE, THEIRS = name_of("groq", "mine"), name_of("groq", "theirs")
REMEMBERED = {"groq/openai/x": 1, f"{MINE}/openai/x": 2, f"{THEIRS}/openai/x": 3, "openai/y": 4}


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({}, {"groq/openai/x": 1, "openai/y": 4}),
        ({"groq": MINE}, {"groq/openai/x": 2, "openai/y": 4}),
        ({"groq": THEIRS}, {"groq/openai/x": 3, "openai/y": 4}),
        ({"groq": name_of("groq", "new")}, {"openai/y": 4}),
    ],
)
def test_everybody_has_what_is_remembered_of_their_own_lines(own: dict[str, str], found: dict[str, int]) -> None:
    assert as_catalogued(REMEMBERED, own) == found
