"""`doctor` as a person meets it: it always ends with a table, and its exit code says whether all is well."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from commands import Ended, run
from planted import MARK
from server import alone
from world import Providers

pytestmark = pytest.mark.anyio


def verdicts(ended: Ended) -> dict[str, str]:
    rows = [line.split("\t") for line in ended.stdout.splitlines()]
    return {check: verdict for verdict, check, _found, _advice in rows}


async def test_all_is_well(tmp_path: Path, providers: Providers) -> None:
    ended = await run(tmp_path, alone(providers.groq), "doctor")

    assert (ended.code, ended.stderr) == (0, "")
    assert "failed" not in verdicts(ended).values()
    assert verdicts(ended)["provider groq"] == "ok"
    assert MARK not in ended.stdout
    assert not (tmp_path / "home").exists()


async def test_json_tells_the_same(tmp_path: Path, providers: Providers) -> None:
    plain = await run(tmp_path, alone(providers.groq), "doctor")
    ended = await run(tmp_path, alone(providers.groq), "doctor", "--json")

    assert {row["check"]: row["verdict"] for row in ended.json["checks"]} == verdicts(plain)
    assert all(row.keys() == {"check", "verdict", "found", "advice"} for row in ended.json["checks"])
    assert ended.json["verdict"] in {"ok", "warning"}


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({}, "providers"),
        ({"VEL_TUTOR_COLOUR": "red"}, "settings"),
        ({"VEL_TUTOR_CONFIG": "none.toml"}, "settings"),
        ({"VEL_TUTOR_DATABASE_URL": "mysql://me:secret@host/name"}, "database"),
        ({"GROQ_API_KEY": "sécret"}, "provider groq"),
        ({"PATH": "", "GROQ_API_KEY": "secret", "GROQ_BASE_URL": "http://127.0.0.1:1/v1"}, "provider groq"),
    ],
)
async def test_whatever_is_broken_it_is_told_with_what_to_do(
    tmp_path: Path, values: Mapping[str, str], failed: str
) -> None:
    ended = await run(tmp_path, values, "doctor")

    assert (ended.code, ended.stderr) == (1, "")
    assert verdicts(ended)[failed] == "failed"
    assert {"node", "task master"} <= verdicts(ended).keys()
    assert "secret" not in ended.stdout
    assert "sécret" not in ended.stdout
