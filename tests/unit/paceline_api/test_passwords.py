"""Passwords: hashed with a salt, off the loop, and a name that nobody has costs the same work."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from paceline_api import passwords
from paceline_api.passwords import NOBODYS_HASH, Passwords


async def test_a_password_matches_its_hash_and_no_other() -> None:
    hashing = Passwords(at_once=2)
    first, second = await hashing.hash("correct horse"), await hashing.hash("correct horse")
    assert first != second, "salted"
    assert await hashing.matches("correct horse", first)
    assert not await hashing.matches("wrong horse", first)
    assert not await hashing.matches("correct horse", None)


async def test_nobody_costs_as_much_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    verify = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", lambda *call: checked.append(call[1]) or verify(*call))
    await Passwords(at_once=1).matches("whatever", None)
    (against,) = checked
    assert extract_parameters(against) == extract_parameters(await Passwords(1).hash("x" * 10))
    assert not passwords._HASHER.check_needs_rehash(NOBODYS_HASH)
