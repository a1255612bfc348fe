"""Stored keys from the shell: sealed anew by another secret key, told by the doctor, carried along by a copy."""

import base64
import secrets
from pathlib import Path

import pytest
from commands import run
from planted import key
from pydantic import SecretStr
from server import alone
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app

pytestmark = pytest.mark.anyio

NOT_ALL = 1
KEY = key("gsk-own")


async def test_another_secret_key_takes_the_place_of_the_file(tmp_path: Path, providers: Providers) -> None:
    here, home = alone(providers.groq), tmp_path / "home"
    async with open_app(settings_for(providers, home)) as app:
        await app.integrations.put(app.local_principal, "groq", SecretStr(KEY))
    old, new = (home / "secret.key").read_text().strip(), base64.b64encode(secrets.token_bytes(32)).decode()

    lost = await run(tmp_path, here | {"VEL_TUTOR_SECRET_KEY": new}, "integration", "rotate")
    assert lost.code == NOT_ALL
    assert "which is not here; put that key behind the first one in VEL_TUTOR_SECRET_KEY" in lost.stderr
    rotated = await run(tmp_path, here | {"VEL_TUTOR_SECRET_KEY": f"{new},{old}"}, "integration", "rotate", "--json")
    assert (rotated.code, rotated.json) == (0, {"sealed": 1, "current": 0, "unopened": []})

    there = f"sqlite:///{tmp_path / 'there.db'}"
    copied = await run(tmp_path, here, "db", "copy", "--to", there)
    assert "take VEL_TUTOR_SECRET_KEY along, or the file secret.key" in copied.stderr
    moved = here | {"VEL_TUTOR_SECRET_KEY": new, "VEL_TUTOR_DATABASE_URL": there}
    found = await run(tmp_path, moved, "doctor", "--json")
    assert [check["found"] for check in found.json["checks"] if check["check"] == "sealed keys"] == [
        "1 of integrations and webhooks, all open"
    ]
    for said in (lost, rotated, copied, found):
        for secret in (KEY, old, new, "0123456789abcdef"):
            assert secret not in said.stdout + said.stderr
    assert KEY.encode() not in (tmp_path / "there.db").read_bytes()


async def test_a_bad_secret_key_stops_the_start_without_a_word_of_it(tmp_path: Path, providers: Providers) -> None:
    refused = await run(tmp_path, alone(providers.groq) | {"VEL_TUTOR_SECRET_KEY": "hunter2"}, "integration", "rotate")
    assert refused.code == 78
    assert "Bad value for VEL_TUTOR_SECRET_KEY; must be keys of 32 random bytes in base64" in refused.stderr
    assert "hunter2" not in refused.stderr
