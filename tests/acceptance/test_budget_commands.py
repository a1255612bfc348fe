"""Budgets from the shell: set, told, held to and removed."""

from pathlib import Path

import pytest
from commands import run
from server import alone, one_sentence
from world import Providers

pytestmark = pytest.mark.anyio

NOT_FOUND, NO_CANDIDATE = 66, 78


async def test_a_budget_set_from_the_shell_is_listed_and_held_to_until_it_is_removed(
    tmp_path: Path, providers: Providers
) -> None:
    here = alone(providers.groq)
    day = ("--scope", "organisation", "--period", "day")
    made = await run(tmp_path, here, "budget", "set", *day, "--limit", "0.000001", "--json")
    assert (made.code, made.json["limit_usd"], made.json["kind"]) == (0, 0.000001, "hard")

    refused = await run(tmp_path, here, "task", "submit", "Say hello")
    assert refused.code == NO_CANDIDATE
    assert "The budget of the organisation, $0.000001 a day (UTC), has " in refused.stderr
    assert providers.groq.requests == []

    listed = await run(tmp_path, here, "budget", "list")
    assert listed.stdout.split("\t")[:5] == ["organisation", "default", "day", "hard", "0.000001"]

    removed = await run(tmp_path, here, "budget", "set", *day, "--limit", "none")
    assert (removed.code, removed.stderr) == (0, "The organisation default has no such budget any more.\n")
    assert (await run(tmp_path, here, "task", "submit", "Say hello")).code == 0


async def test_a_budget_of_nobody_is_refused_with_a_sentence(tmp_path: Path, providers: Providers) -> None:
    arguments = ("--scope", "agent", "--subject", "nobody", "--period", "day", "--limit", "1")
    ended = await run(tmp_path, alone(providers.groq), "budget", "set", *arguments)

    assert ended.code == NOT_FOUND
    assert one_sentence(ended.stderr.strip())
    assert ended.stderr.startswith("vel-tutor-mcp: There is no such agent")
