"""What has expired is removed as long as the service runs, whatever happens meanwhile."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from app.chassis.auth import purge
from app.chassis.database import Database


async def test_a_failure_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    again = asyncio.Event()
    failures = iter([RuntimeError("deadlock"), OSError("cut")])

    async def failing(_database: Database) -> int:
        for failure in failures:
            raise failure
        again.set()
        return 0

    monkeypatch.setattr(purge, "purge", failing)
    nobody = cast("Database", None)
    async with asyncio.timeout(10), purge.purging(nobody, timedelta(milliseconds=1)):
        await again.wait()
