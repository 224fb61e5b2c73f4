"""What a relay claims: the first rows of an aggregate without a gap, found at little cost."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from app.chassis.database import DatabaseSettings
from app.chassis.outbox import store as module
from app.chassis.outbox.settings import OutboxSettings
from app.chassis.outbox.store import CLAIM, SESSION, Store
from tests.kit.outbox import Sql, insert_events

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(outbox_database_url: str) -> AsyncGenerator[Store]:
    database = DatabaseSettings.model_validate({"url": outbox_database_url})
    store = Store(database, OutboxSettings(batch_size=10), "test-relay")
    yield store
    await store.close()


def stuck_events(sql: Sql, number: int) -> list[str]:
    """Insert events that wait behind a dead one, which is the first of them."""
    ids = insert_events(sql, ["stuck"] * number)
    sql.execute("UPDATE outbox SET status = 'dead' WHERE id = %s", ids[:1])
    return ids


async def claimed(store: Store) -> list[str]:
    return [row.id for row in (await store.claim()).rows]


async def published(sql: Sql, store: Store) -> list[str]:
    """Claim and mark until there is nothing more; returns the ids in this order."""
    ids: list[str] = []
    while batch := await claimed(store):
        sql.execute("UPDATE outbox SET status = 'published' WHERE id = ANY(%s)", [batch])
        ids += batch
    return ids


@pytest.mark.parametrize(
    "obstacle",
    [
        "status = 'dead'",
        "available_at = now() + interval '1 minute'",
        "available_at = now() + interval '1 minute', claimed_by = gen_random_uuid()",
    ],
    ids=["dead", "backing off", "leased"],
)
async def test_nothing_overtakes_a_row_that_cannot_be_claimed(
    sql: Sql, store: Store, obstacle: LiteralString
) -> None:
    ids = insert_events(sql, ["a", "b", "a", "b", "a", "b", "a"])
    sql.execute(f"UPDATE outbox SET {obstacle} WHERE id = %s", [ids[4]])
    assert await claimed(store) == [*ids[:4], ids[5]]
    sql.execute("UPDATE outbox SET status = 'published' WHERE id = ANY(%s)", [ids[:4]])
    assert await claimed(store) == []


async def test_what_waits_behind_dead_events_hides_no_other_however_much_it_is(
    sql: Sql, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WIDEST_WINDOW", 50)
    stuck = stuck_events(sql, 300)
    free = insert_events(sql, [f"a{i % 3}" for i in range(120)])
    assert sorted(await published(sql, store)) == sorted(free)
    sql.execute("UPDATE outbox SET status = 'published' WHERE id = %s", [stuck[0]])
    assert await published(sql, store) == stuck[1:]


async def test_what_waits_behind_dead_events_is_not_looked_through_for_each_batch(
    sql: Sql, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WIDEST_WINDOW", 50)
    monkeypatch.setattr(module, "LOOK_BACK_SECONDS", 60)
    stuck_events(sql, 300)
    free = insert_events(sql, [f"a{i}" for i in range(200)])
    seen = len(await claimed(store))
    looks = 0
    execute = psycopg.AsyncConnection.execute

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += 1
        return await execute(*args, **kwargs)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    for _ in range(10):
        batch = await claimed(store)
        assert batch == free[seen : seen + len(batch)]
        seen += len(batch)
    assert seen > 80
    assert looks <= 20


async def test_what_comes_free_before_a_long_backlog_is_soon_claimed(
    sql: Sql, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WIDEST_WINDOW", 50)
    monkeypatch.setattr(module, "LOOK_BACK_SECONDS", 0.2)
    stuck = stuck_events(sql, 100)
    insert_events(sql, [f"a{i}" for i in range(2000)])
    await claimed(store)
    sql.execute("UPDATE outbox SET status = 'published' WHERE id = %s", [stuck[0]])
    async with asyncio.timeout(5):
        while not set(await claimed(store)) & set(stuck):  # noqa: ASYNC110 - it tells
            await asyncio.sleep(0.01)


def test_a_backlog_after_quiet_times_is_claimed_row_by_row(
    sql: Sql, outbox_database_url: str
) -> None:
    insert_events(sql, [f"a{i}" for i in range(2000)])
    sql.execute("UPDATE outbox SET status = 'published'")
    sql.execute("ANALYZE outbox")
    sql.execute("TRUNCATE outbox")
    insert_events(sql, [f"a{i // 2}" for i in range(2000)])
    options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    claim = {
        "impatient": True,
        "lock": 1,
        "after": 0,
        "window": 500,
        "batch": 500,
        "lease": "30 s",
        "relay": uuid4(),
    }
    with psycopg.connect(outbox_database_url, autocommit=True, options=options) as relay:
        plan = "\n".join(line for (line,) in relay.execute(f"EXPLAIN ANALYZE {CLAIM}", claim))
    assert plan.count("Tid Scan on outbox") == 2
    assert "Rows Removed by Join Filter" not in plan
    scans = [step for step in plan.split("->") if " on outbox" in step]
    removed = re.findall(r"Rows Removed by Filter: (\d+)", " ".join(scans))
    assert all(int(rows) < 10 for rows in removed)
