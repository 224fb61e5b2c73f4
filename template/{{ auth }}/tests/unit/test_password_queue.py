"""Password hashes are computed beside the event loop, a few at a time."""

import asyncio

import pytest

from app.chassis.auth import passwords
from app.chassis.auth.passwords import Passwords
from app.chassis.auth.settings import AuthSettings
from app.chassis.errors import Unavailable

pytestmark = pytest.mark.anyio


async def test_a_hash_matches_its_password_only() -> None:
    hasher = Passwords(AuthSettings())
    stored = await hasher.hash("four quiet otters")
    assert await hasher.verify("four quiet otters", stored)
    assert not await hasher.verify("five quiet otters", stored)
    assert not await hasher.verify("four quiet otters", "no hash at all")
    assert not await hasher.verify("four quiet otters", None)


async def test_when_too_many_wait_the_next_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", 2)
    hasher = Passwords(AuthSettings(hashing_concurrency=1))
    waiting = [asyncio.create_task(hasher.verify("x", None)) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await hasher.hash("x")
    assert await asyncio.gather(*waiting) == [False] * 3
