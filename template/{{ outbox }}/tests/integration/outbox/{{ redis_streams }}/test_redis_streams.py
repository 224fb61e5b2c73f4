"""What is in a stream of Redis, and who gets what its reader left."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis import Redis

from app.chassis.outbox.adapter import RedisBroker, connected
from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from tests.kit.brokers import restartable

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"
HEADERS = {"ce-id": "1", "ce-type": TYPE, "ce-partitionkey": "a"}
MESSAGE = Message("1", TYPE, "a", HEADERS, b"{}")


def process(url: str, topic: str) -> AbstractAsyncContextManager[RedisBroker]:
    return connected(BrokerSettings.model_validate({"url": url, "topic": topic}), "test")


@pytest.fixture
def redis(broker_url: str) -> Generator[Redis]:
    with Redis.from_url(broker_url) as client:
        yield client


async def fetched(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(10):
        while not (deliveries := await subscription.fetch(1)):
            pass
    return deliveries[0]


def members(redis: Redis, topic: str) -> list[int]:
    found: Any = redis.xinfo_consumers(topic, "recorder")
    return [member["pending"] for member in found]


def end_leases(redis: Redis, topic: str) -> None:
    """Do as if the members of the group had been silent for the length of a lease."""
    pending: Any = redis.xpending_range(topic, "recorder", "-", "+", 10)
    for entry in pending:
        owner, ids = entry["consumer"], [entry["message_id"]]
        redis.xclaim(topic, "recorder", owner, 0, ids, idle=600_000, justid=True)


async def test_an_entry_has_a_field_for_each_attribute_and_one_for_the_body(
    broker_url: str, topic: str, redis: Redis
) -> None:
    async with process(broker_url, topic) as broker:
        await broker.publish(MESSAGE)
    stored: Any = redis.xrange(topic)
    assert stored[0][1] == {
        b"ce-id": b"1",
        b"ce-type": TYPE.encode(),
        b"ce-partitionkey": b"a",
        b"data": b"{}",
    }


async def test_what_is_published_at_once_shares_round_trips(
    broker_url: str, topic: str, redis: Redis
) -> None:
    async with process(broker_url, topic) as broker:
        await broker.publish(MESSAGE)
        before = redis.info("stats")["total_reads_processed"]
        await asyncio.gather(*(broker.publish(MESSAGE) for _ in range(200)))
        reads = redis.info("stats")["total_reads_processed"] - before
    assert redis.xlen(topic) == 201
    assert reads < 100


async def test_what_is_older_than_the_retention_is_forgotten(
    broker_url: str, topic: str, redis: Redis
) -> None:
    for i in range(1, 501):
        redis.xadd(topic, {"data": ""}, id=f"{i}-0")
    async with process(broker_url, topic) as broker:
        await broker.publish(MESSAGE)
    assert redis.xlen(topic) <= 101


async def test_a_server_that_has_no_room_is_unavailable_and_refuses_no_message(
    tmp_path: Path, topic: str
) -> None:
    server = restartable(tmp_path / "broker")
    with server.up(), Redis.from_url(server.url) as redis:
        for i in range(1, 501):
            redis.xadd(topic, {"data": ""}, id=f"{i}-0")
        async with process(server.url, topic) as broker:
            redis.config_set("maxmemory", 1)
            with pytest.raises(BrokerUnavailable):
                await broker.publish(MESSAGE)
            assert redis.xlen(topic) <= 100, "what is too old makes room"
            redis.config_set("maxmemory", 0)
            await broker.reserve("recorder", topic, [TYPE])
            await broker.publish(MESSAGE)
            redis.config_set("maxmemory", 1)
            subscription = await broker.subscribe("recorder", topic, [TYPE])
            assert (await fetched(subscription)).message.id == "1"
            await subscription.close()


@pytest.mark.parametrize(
    "url",
    ["redis://h:port", "redis://h:99999", "redis://h:6379/zero", "redis://u:hunter2/x@h:6379/0"],
)
async def test_an_address_that_would_be_misunderstood_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be like") as refused:
        BrokerSettings.model_validate({"url": url})
    assert url not in str(refused.value)


async def test_what_a_dead_process_had_is_taken_over_when_its_lease_ends(
    broker_url: str, topic: str, redis: Redis
) -> None:
    async with process(broker_url, topic) as dead, process(broker_url, topic) as alive:
        await dead.publish(MESSAGE)
        await fetched(await dead.subscribe("recorder", topic, [TYPE]))
        subscription = await alive.subscribe("recorder", topic, [TYPE])
        assert await subscription.fetch(1) == []
        end_leases(redis, topic)
        delivery = await fetched(subscription)
        assert delivery.message == MESSAGE
        await delivery.done()
        assert members(redis, topic) == [0, 0]


async def test_a_process_that_stops_leaves_what_it_had_at_once(
    broker_url: str, topic: str, redis: Redis
) -> None:
    async with process(broker_url, topic) as stopping, process(broker_url, topic) as other:
        await stopping.publish(MESSAGE)
        subscription = await stopping.subscribe("recorder", topic, [TYPE])
        await fetched(subscription)
        await subscription.close()
        assert members(redis, topic) == [1]
        assert (await fetched(await other.subscribe("recorder", topic, [TYPE]))).message == MESSAGE


async def test_members_that_are_gone_are_removed_but_none_that_has_something(
    broker_url: str, topic: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(broker_url, topic) as broker:
        await broker.reserve("recorder", topic, [TYPE])
        redis.xgroup_createconsumer(topic, "recorder", "idle")
        await broker.publish(MESSAGE)
        redis.xreadgroup("recorder", "busy", {topic: ">"})
        assert sorted(members(redis, topic)) == [0, 1]
        monkeypatch.setattr("app.chassis.outbox.group.DEAD_MILLISECONDS", -1)
        await broker.subscribe("recorder", topic, [TYPE])
        assert members(redis, topic) == [1]


async def test_a_type_that_no_handler_is_for_is_settled_and_not_handed_over(
    broker_url: str, topic: str, redis: Redis
) -> None:
    async with process(broker_url, topic) as broker:
        await broker.publish(MESSAGE)
        subscription = await broker.subscribe("recorder", topic, ["thing.else"])
        assert await subscription.fetch(1) == []
        assert members(redis, topic) == [0]


async def test_closing_ends_though_the_client_does_not_mind_being_cancelled(
    broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinged = asyncio.Event()

    async def ping(_: object) -> bool:
        if not pinged.is_set():
            pinged.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        return True

    monkeypatch.setattr("redis.asyncio.Redis.ping", ping)
    async with asyncio.timeout(10):
        async with process(broker_url, topic):
            await pinged.wait()
