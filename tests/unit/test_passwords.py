"""Passwords: which are taken, and that nothing but the right one fits."""

from typing import Literal

import pytest
from argon2 import PasswordHasher

from vel_tutor_mcp.auth.passwords import Passwords, check_password
from vel_tutor_mcp.errors import InputError

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "Correct-horse-7"


@pytest.mark.parametrize("password", ["Abcdefghij12", "A1" + "b" * 70, "Äöüß Straße 9x"])
def test_a_good_password_is_taken(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    "password",
    ["", "Abcdefghi12", "A1" + "b" * 71, "abcdefghij12", "ABCDEFGHIJ12", "Abcdefghijkl", "Abcdefghij12\ud800"],
    ids=["empty", "short", "long", "no upper", "no lower", "no digit", "no text"],
)
def test_a_poor_password_is_refused_and_never_repeated(password: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_password(password)
    assert not password or password not in str(refusal.value)


def test_only_the_same_password_fits() -> None:
    passwords = Passwords(FAST)
    kept = passwords.hashed(GOOD)
    assert kept.startswith("$argon2id$")
    assert passwords.fits(GOOD, kept)
    for other in ("", GOOD.lower(), GOOD + " ", GOOD[:-1], "\ud800"):
        assert not passwords.fits(other, kept)


def test_two_who_chose_the_same_password_have_different_hashes() -> None:
    assert Passwords(FAST).hashed(GOOD) != Passwords(FAST).hashed(GOOD)


def test_nothing_fits_an_account_that_is_not_there_or_a_hash_that_is_none() -> None:
    passwords = Passwords(FAST)
    assert not passwords.fits(GOOD, None)
    assert not passwords.fits(passwords._nobodys, None)
    assert not passwords.fits(GOOD, "no hash")


def test_an_unknown_account_is_hashed_for_as_a_known_one() -> None:
    class Counting(PasswordHasher):
        asked = 0

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the base's signature
            self.asked += 1
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    passwords.fits(GOOD, passwords.hashed(GOOD))
    passwords.fits(GOOD, None)
    assert hasher.asked == 2
    assert not passwords.outdated(passwords._nobodys)


def test_by_default_a_hash_costs_what_the_standard_asks_and_cheaper_ones_are_outdated() -> None:
    assert Passwords().outdated(Passwords(FAST).hashed(GOOD))
    assert "m=65536,t=3,p=4" in Passwords().hashed(GOOD)
