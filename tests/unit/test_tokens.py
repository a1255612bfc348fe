"""Tokens: only what this server signed, for itself, unchanged and in time, says who is asking."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.auth import tokens
from vel_tutor_mcp.auth.tokens import Claims, SigningKey, Tokens, key_id, public_key
from vel_tutor_mcp.errors import Unauthenticated

URL = "https://tutor.example"
TOKENS = Tokens(URL)
KEY, OLD_KEY = SigningKey.new(), SigningKey.new()
KEYS = {key.id: public_key(key.public) for key in (KEY, OLD_KEY)}
NOW = datetime.now(UTC).replace(microsecond=0)
CLAIMS = Claims(
    user_id="u", organisation_id="o", role="viewer", grant_id="g", token_id="t", issued_at=NOW,
    expires_at=NOW + timedelta(hours=24),
)  # fmt: skip


def signed(changes: dict[str, Any], *, key: Any = KEY.private, algorithm: str = "EdDSA", kid: Any = KEY.id) -> str:
    """A token such as ours with some claims changed, or left out where they are None."""
    content = jwt.decode(TOKENS.signed(CLAIMS, KEY), options={"verify_signature": False}) | changes
    kept = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def test_what_was_signed_is_read_again() -> None:
    assert TOKENS.verified(TOKENS.signed(CLAIMS, KEY), KEYS) == CLAIMS


def test_a_token_of_an_older_key_is_good_as_long_as_that_key_is_known() -> None:
    old = TOKENS.signed(CLAIMS, OLD_KEY)
    assert TOKENS.verified(old, KEYS) == CLAIMS
    with pytest.raises(Unauthenticated, match="no key of this server"):
        TOKENS.verified(old, {KEY.id: KEYS[KEY.id]})


def test_a_key_is_the_same_after_it_was_kept() -> None:
    again = SigningKey.of_pem(KEY.id, KEY.pem)
    assert again.public == KEY.public
    assert TOKENS.verified(TOKENS.signed(CLAIMS, again), KEYS) == CLAIMS


BAD = {
    "expired": ("expired", TOKENS.signed(replace(CLAIMS, expires_at=NOW - timedelta(seconds=1)), KEY)),
    "for another": ("another server", signed({"aud": "https://other.example"})),
    "for two": ("another server", signed({"aud": [URL, "https://other.example"]})),
    "of another": ("another server", signed({"iss": "https://other.example"})),
    "unsigned": ("not valid", signed({}, algorithm="none", key=None)),
    "signed with the public key": ("not valid", signed({}, algorithm="HS256", key=KEY.public)),
    "of no key": ("not valid", signed({}, kid=None)),
    "of a foreign key": ("no key", signed({}, kid="another")),
    "of a foreign key under our name": ("not valid", signed({}, key=Ed25519PrivateKey.generate())),
    "of one key under another's name": ("not valid", signed({}, kid=OLD_KEY.id)),
    **{f"without {name}": ("not valid", signed({name: None})) for name in tokens._CLAIMS if name not in {"aud", "iss"}},
    "without aud": ("(not valid|another server)", signed({"aud": None})),
    "without iss": ("(not valid|another server)", signed({"iss": None})),
    "issued at no time": ("not valid", signed({"iat": "yesterday"})),
    "until no time": ("not valid", signed({"exp": "later"})),
    "empty": ("not valid", ""),
    "no token": ("not valid", "a.b.c"),
    "no text": ("not valid", "\ud800.é"),
    "endless": ("not valid", TOKENS.signed(CLAIMS, KEY) + "." * 10_000),
}


@pytest.mark.parametrize(("why", "token"), BAD.values(), ids=BAD)
def test_any_other_token_is_refused_and_never_repeated(why: str, token: str) -> None:
    with pytest.raises(Unauthenticated, match=why) as refusal:
        TOKENS.verified(token, KEYS)
    assert not token or token not in str(refusal.value)


def test_a_token_whose_header_asks_for_another_algorithm_is_not_verified_with_it() -> None:
    # The public key as the secret of HS256, under the name of the real key.
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": KEY.id}).encode()).rstrip(b"=").decode()
    _, body, signature = TOKENS.signed(CLAIMS, KEY).split(".")
    with pytest.raises(Unauthenticated):
        key_id(f"{head}.{body}.{signature}")


@given(st.data())
def test_no_changed_token_is_taken(data: st.DataObject) -> None:
    token = TOKENS.signed(CLAIMS, KEY)
    place = data.draw(st.integers(0, len(token) - 2))  # the last character has bits that say nothing
    letter = data.draw(st.sampled_from("ABCabc019-_."))
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token:
        assert TOKENS.verified(changed, KEYS) == CLAIMS
    else:
        with pytest.raises(Unauthenticated):
            TOKENS.verified(changed, KEYS)


@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    keys: dict[str, Ed25519PublicKey] = KEYS
    with pytest.raises(Unauthenticated):
        TOKENS.verified(text, keys)
