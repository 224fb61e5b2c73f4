"""The relay keeps to its lease and goes on, however long the client of a broker takes."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import pytest

from app.chassis.database import DatabaseSettings
from app.chassis.outbox.broker import BrokerUnavailable, Message, Subscription
from app.chassis.outbox.process import Stop
from app.chassis.outbox.relay import Relay
from app.chassis.outbox.settings import OutboxSettings
from app.chassis.outbox.store import Store
from tests.kit.outbox import Sql, insert_events, statuses

pytestmark = pytest.mark.anyio

IMPATIENT = OutboxSettings.model_validate(
    {"poll_interval": 0.02, "batch_size": 1, "publish_timeout": 0.5, "lease": 1.5}
)
# The clocks may differ a little.
IN_TIME = """
SELECT clock_timestamp() < available_at + interval '0.1 s' FROM outbox WHERE id = %s
"""


class SlowBroker:
    """A broker that confirms after `seconds`, and tells whether the lease was still good then.

    A relay without consumers only publishes: who asks for more here fails the test.
    """

    def __init__(self, sql: Sql, seconds: float = 0) -> None:
        self.sql = sql
        self.seconds = seconds
        self.in_time: list[bool] = []

    async def ready(self) -> None:
        return

    async def publish(self, message: Message) -> None:
        await asyncio.sleep(self.seconds)
        ((in_time,),) = self.sql.execute(IN_TIME, [message.id]).fetchall()
        self.in_time.append(in_time)

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        raise NotImplementedError

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        raise NotImplementedError

    async def close(self) -> None:
        return


class StubbornBroker(SlowBroker):
    """A broker whose client answers the first message never, and is not to be cancelled then."""

    def __init__(self, sql: Sql) -> None:
        super().__init__(sql)
        self.given_up = asyncio.Event()
        self._held = False

    async def publish(self, message: Message) -> None:
        held, self._held = self._held, True
        while not held and not self.given_up.is_set():
            try:
                await self.given_up.wait()
            except asyncio.CancelledError:
                continue
        await super().publish(message)

    async def close(self) -> None:
        self.given_up.set()


class FullBroker(SlowBroker):
    """A broker that answers, and stores nothing."""

    attempts = 0

    async def publish(self, message: Message) -> None:
        self.attempts += 1
        del message
        raise BrokerUnavailable("no space left")


@asynccontextmanager
async def relaying(database_url: str, broker: SlowBroker) -> AsyncGenerator[None]:
    """Run a relay for the length of the block, and see that it stops when asked."""
    database = DatabaseSettings.model_validate({"url": database_url})
    store, stop = Store(database, IMPATIENT, "test-relay"), Stop()
    relay = asyncio.create_task(Relay(store, broker, IMPATIENT, "/test").run(stop))
    try:
        yield
    finally:
        await broker.close()
        stop.ask()
        await asyncio.wait_for(relay, 10)
        await store.close()


async def until_published(sql: Sql, count: int) -> None:
    async with asyncio.timeout(15):
        while statuses(sql).count("published") < count:  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)


async def test_nothing_is_published_after_its_lease(outbox_database_url: str, sql: Sql) -> None:
    broker = SlowBroker(sql, seconds=0.9)
    insert_events(sql, ["a", "b", "c", "d"])
    async with relaying(outbox_database_url, broker):
        await until_published(sql, 4)
    assert broker.in_time == [True] * 4


async def test_a_client_that_cannot_be_cancelled_does_not_stop_the_relay(
    outbox_database_url: str, sql: Sql
) -> None:
    broker = StubbornBroker(sql)
    insert_events(sql, ["stuck", "free"])
    async with relaying(outbox_database_url, broker):
        await until_published(sql, 2)


async def test_a_broker_that_stores_nothing_is_not_asked_without_a_pause(
    outbox_database_url: str, sql: Sql
) -> None:
    broker = FullBroker(sql)
    insert_events(sql, ["a"])
    async with relaying(outbox_database_url, broker):
        await asyncio.sleep(1)
        assert statuses(sql) == ["pending"]
    assert 1 <= broker.attempts <= 9
