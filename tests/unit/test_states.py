"""States that clients carry: which keys open them, and that nothing else does."""

import base64
from pathlib import Path

import pytest
from mcp.server.request_state import InvalidRequestState
from pydantic import SecretStr

from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.doors.states import States, security
from vel_tutor_mcp.settings import Settings

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
PAYLOAD = b'{"v": 1}'


def states(keys: str) -> States:
    return States(SecretKeys(keys, Path("nowhere")))


def test_servers_of_one_installation_open_what_any_of_them_sealed(tmp_path: Path) -> None:
    for key in (None, SecretStr(OLD)):
        first, second = (security(Settings(home=tmp_path, secret_key=key)).codec for _ in range(2))
        assert second.unseal(first.seal(PAYLOAD)) == PAYLOAD


def test_while_the_key_is_rotated_what_either_sealed_is_opened() -> None:
    assert states(f"{NEW},{OLD}").unseal(states(f"{OLD},{NEW}").seal(PAYLOAD)) == PAYLOAD
    assert states(f"{OLD},{NEW}").unseal(states(f"{NEW},{OLD}").seal(PAYLOAD)) == PAYLOAD


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1.abc",
        "é",
        "AAAA",
        base64.urlsafe_b64encode(SecretKeys(OLD, Path("nowhere")).seal(PAYLOAD, "integration", ())).decode(),
        states(NEW).seal(PAYLOAD),
    ],
    ids=["empty", "another-form", "letters", "short", "another-purpose", "another-installation"],
)
def test_what_was_not_sealed_here_for_this_is_not_opened(token: str) -> None:
    with pytest.raises(InvalidRequestState):
        states(OLD).unseal(token)
