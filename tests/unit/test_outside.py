"""Tokens of an outside issuer: only what its published keys verify, each by its one algorithm, for us, at this time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from issuer import EC_KEY, ED_KEY, RSA_KEY, by_public_key, claims, published, signed
from jwt.algorithms import RSAAlgorithm

from vel_tutor_mcp.auth.outside import LEEWAY_SECONDS, issuer_of, key_id, keys_of, verified
from vel_tutor_mcp.errors import Unauthenticated
from vel_tutor_mcp.settings import Settings

ISSUER, US = "https://login.example/realm/", "https://tutor.example"
AUDIENCES = (US, f"{US}/")
KEYS = keys_of(
    [
        published(RSA_KEY, "rsa", "RS256"),
        published(RSA_KEY, "unsaid", "RS256", alg=None, use=None),
        published(RSA_KEY, "pss", "PS256"),
        published(EC_KEY, "ec", "ES256"),
        published(ED_KEY, "ed", "EdDSA"),
    ]
)


def token(
    key: Any = RSA_KEY, kid: str | None = "rsa", algorithm: str = "RS256", typ: Any = "at+jwt", **own: Any
) -> str:
    lasting = {"exp": datetime.now(UTC) + timedelta(days=1)}  # most are made long before their test runs
    return signed(claims(ISSUER, US, **lasting | own), key, kid, algorithm, typ=typ)


def asked(given: str) -> str:
    """Whom the token names, if it is good."""
    key = KEYS.get(key_id(given))
    if key is None:
        raise Unauthenticated("No such key.")
    return verified(given, key, ISSUER, AUDIENCES).subject


GOOD = {
    "RSA": token(),
    "RSA of no said algorithm": token(kid="unsaid"),
    "PSS": token(kid="pss", algorithm="PS256"),
    "curve": token(EC_KEY, "ec", "ES256"),
    "Ed25519": token(ED_KEY, "ed", "EdDSA"),
    "for us and others": token(aud=["https://other.example", US]),
    "for us as a URL": token(aud=f"{US}/"),
    "of a plain kind": token(typ="JWT"),
    "of no said kind": token(typ=None),
}

BAD = {
    "for another": ("another server", token(aud="https://other.example")),
    "for a path of ours": ("another server", token(aud=f"{US}/mcp")),
    "of another": ("another server", token(iss="https://login.example/realm")),
    "unsigned": ("not valid", jwt.encode(claims(ISSUER, US), "", algorithm="none", headers={"kid": "rsa"})),
    "HMAC by the public key": ("not valid", by_public_key(token())),
    "another algorithm of the key": ("not valid", token(algorithm="RS512")),
    "PSS with the key for RS256": ("not valid", token(algorithm="PS256")),
    "RS256 with the key for PSS": ("not valid", token(kid="pss")),
    "of a foreign key": ("No such key", token(kid="foreign")),
    "of a foreign key under its name": ("not valid", token(rsa.generate_private_key(65537, 2048))),
    "of one key under another's name": ("not valid", token(kid="ec")),
    "of no key": ("not valid", token(kid=None)),
    "of another kind": ("not valid", token(typ="logout+jwt")),
    "bound to a key": ("bound to a key", token(cnf={"jkt": "x"})),
    "of nobody": ("not valid", token(sub="")),
    "of a number": ("not valid", token(sub=7)),
    "of an endless name": ("not valid", token(sub="x" * 256)),
    "without sub": ("not valid", token(sub=None)),
    "without exp": ("not valid", token(exp=None)),
    "without aud": ("another server|not valid", token(aud=None)),
    "without iss": ("another server|not valid", token(iss=None)),
    "until no time": ("not valid", token(exp="later")),
    "after the end of time": ("not valid", token(exp=10**20)),
    "empty": ("not valid", ""),
    "no token": ("not valid", "a.b.c"),
    "no text": ("not valid", "\ud800.é"),
}  # fmt: skip


@pytest.mark.parametrize("given", GOOD.values(), ids=GOOD)
def test_a_token_that_a_published_key_verifies_tells_who_is_asking(given: str) -> None:
    assert asked(given) == "someone"
    assert issuer_of(given) == ISSUER


@pytest.mark.parametrize(("why", "given"), BAD.values(), ids=BAD)
def test_any_other_token_is_refused_and_never_repeated(why: str, given: str) -> None:
    with pytest.raises(Unauthenticated, match=why) as refusal:
        asked(given)
    assert not given or given not in str(refusal.value)


def test_clocks_may_differ_a_little() -> None:
    now = datetime.now(UTC)
    within, beyond = (timedelta(seconds=LEEWAY_SECONDS + odd) for odd in (-15, 15))
    assert asked(token(exp=now - within, nbf=now + within)) == "someone"
    for why, late in (("expired", token(exp=now - beyond)), ("clocks", token(nbf=now + beyond))):
        with pytest.raises(Unauthenticated, match=why):
            asked(late)


UNFIT = {
    "no key": "text",
    "nameless": published(RSA_KEY, None, "RS256"),
    "for encryption": published(RSA_KEY, "k", "RS256", use="enc"),
    "for wrapping": published(RSA_KEY, "k", "RS256", key_ops=["wrapKey"]),
    "of operations that are none": published(RSA_KEY, "k", "RS256", key_ops="verify"),
    "symmetric": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
    "an RSA key for HMAC": published(RSA_KEY, "k", "RS256", alg="HS256"),
    "an RSA key for nothing": published(RSA_KEY, "k", "RS256", alg="none"),
    "an RSA key for a curve": published(RSA_KEY, "k", "RS256", alg="ES256"),
    "short": published(rsa.generate_private_key(65537, 1024), "k", "RS256"),
    "private": {**RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "kid": "k", "key_ops": ["verify"]},
    "of no numbers": published(RSA_KEY, "k", "RS256", n=7),
    "of an odd curve": published(EC_KEY, "k", "ES256", crv="secp256k1", alg=None),
    "of an unknown kind": {"kty": "MAGIC", "kid": "k"},
}


@pytest.mark.parametrize("row", UNFIT.values(), ids=UNFIT)
def test_what_is_no_public_key_for_signatures_is_left_out_and_the_others_stay(row: Any) -> None:
    assert keys_of([row, published(EC_KEY, "ec", "ES256")]).keys() == {"ec"}


def test_no_more_keys_are_taken_than_an_issuer_has() -> None:
    row = published(ED_KEY, "k", "EdDSA")
    assert len(keys_of([row | {"kid": str(number)} for number in range(1000)])) == 100


@given(st.data())
def test_no_changed_token_is_taken(data: st.DataObject) -> None:
    good = GOOD["Ed25519"]
    place = data.draw(st.integers(0, len(good) - 2))  # the last character has bits that say nothing
    changed = good[:place] + data.draw(st.sampled_from("ABCabc019-_.")) + good[place + 1 :]
    if changed != good:
        with pytest.raises(Unauthenticated):
            asked(changed)


@pytest.mark.parametrize("given", ["a" * 10_000, token(more="x" * 8192)], ids=["no token", "endless"])
def test_what_is_too_long_is_not_even_looked_at(given: str) -> None:
    assert issuer_of(given) is None


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://login.example", True), ("https://login.example/realm/", True), ("https://[2001:db8::1]:8443/a", True),
        ("http://127.0.0.1:9000", True), ("http://localhost:9000/a", True), ("http://[::1]:9000", True),
        ("http://login.example", False), ("http://127.0.0.1.evil.example", False), ("http://localhost@evil.org", False),
        ("https://a:b@login.example", False), ("https://login.example/?a", False), ("https://login.example/#a", False),
        ("login.example", False), ("https://", False), (f"https://{'x' * 300}", False), ("file:///etc/passwd", False),
    ],
)  # fmt: skip
def test_an_issuer_is_asked_only_where_nobody_on_the_way_can_answer_for_it(url: str, taken: bool) -> None:
    if taken:
        assert Settings(oidc_issuer=url).oidc_issuer == url
    else:
        with pytest.raises(ValueError, match="https://"):
            Settings(oidc_issuer=url)
