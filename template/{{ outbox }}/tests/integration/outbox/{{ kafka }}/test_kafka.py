"""What is Kafka's own: its binding of events, its groups, and what its errors mean."""

import asyncio
import ctypes
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage
from pydantic import ValidationError

from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.client import options
from app.dev.broker import BROKER_ID, EmbeddedBroker
from tests.kit.brokers import reading

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"
PRODUCE, START_PRODUCER = 0, 22  # numbers of requests in Kafka's protocol


def settings(url: str, topic: str) -> BrokerSettings:
    return BrokerSettings.model_validate({"url": url, "topic": topic})


def message(number: int, type_: str = TYPE) -> Message:
    headers = {
        "ce-id": str(number),
        "ce-type": type_,
        "ce-source": "/a%20b",
        "ce-partitionkey": "42%20%C3%BC",
    }
    return Message(str(number), type_, "42 ü", headers, b"{}")


async def fetched(subscription: Subscription, count: int) -> list[Delivery]:
    """Wait for so many messages."""
    found: list[Delivery] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await subscription.fetch(10)
    return found


def first_message(url: str, topic: str) -> KafkaMessage:
    with reading(url, topic) as reader:
        while (raw := reader.poll(30)) is not None:
            if raw.error() is None:
                return raw
    raise AssertionError("there is none")


def place(url: str, topic: str) -> int:
    """Where the group of the consumer `reader` is in the one partition that has messages."""
    name = {**options(settings(url, topic), "test"), "group.id": f"{topic}.reader"}
    client = Consumer(name)
    numbers = client.list_topics(topic, 30).topics[topic].partitions
    committed = client.committed([TopicPartition(topic, number) for number in numbers], 30)
    client.close()
    return max(place.offset for place in committed)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries]


@pytest.fixture
def failing() -> Generator[EmbeddedBroker]:
    """A broker of the test's own, to be told which errors to answer with."""
    broker = EmbeddedBroker()
    yield broker
    broker.end()


def fail_once(broker: EmbeddedBroker, request: int, error: int) -> None:
    """Have the next request of a kind answered with an error."""
    errors = (ctypes.c_int * 1)(error)
    broker.library.rd_kafka_mock_push_request_errors_array(
        broker.cluster, ctypes.c_int16(request), ctypes.c_size_t(1), errors
    )


def answer_after(broker: EmbeddedBroker, *, milliseconds: int) -> None:
    """Let the broker take its time."""
    broker.library.rd_kafka_mock_broker_set_rtt(broker.cluster, BROKER_ID, milliseconds)


async def test_an_event_has_the_key_and_the_headers_of_kafkas_binding(
    broker_url: str, topic: str
) -> None:
    async with connected(settings(broker_url, topic), "test") as broker:
        await broker.ready()
        await broker.publish(message(1))
        raw = await asyncio.to_thread(first_message, broker_url, topic)
        subscription = await broker.subscribe("reader", topic, [TYPE])
        (delivery,) = await fetched(subscription, 1)
        await subscription.close()
    assert raw.key() == "42 ü".encode()
    assert dict(raw.headers() or {}) == {
        "ce_id": b"1",
        "ce_type": TYPE.encode(),
        "ce_source": b"/a%20b",
        "ce_partitionkey": "42 ü".encode(),
    }
    assert delivery.message.key == "42 ü"
    assert delivery.message.headers["ce-partitionkey"] == "42%20%C3%BC"


async def test_the_groups_place_never_passes_a_message_that_is_not_settled(
    broker_url: str, topic: str
) -> None:
    async with connected(settings(broker_url, topic), "test") as broker:
        await broker.ready()
        for number in range(3):
            await broker.publish(message(number))
        subscription = await broker.subscribe("reader", topic, [TYPE])
        deliveries = await fetched(subscription, 3)
        assert ids(deliveries) == ["0", "1", "2"]
        for number in (2, 0):
            await deliveries[number].done()
        await subscription.close()
    assert place(broker_url, topic) == 1


async def test_what_is_given_back_comes_again_and_holds_up_nothing(
    broker_url: str, topic: str
) -> None:
    async with connected(settings(broker_url, topic), "test") as broker:
        await broker.ready()
        for number, type_ in enumerate([TYPE, "thing.ignored", TYPE]):
            await broker.publish(message(number, type_))
        subscription = await broker.subscribe("reader", topic, [TYPE])
        first, second = await fetched(subscription, 2)
        await first.give_back(0.1)
        await second.done()
        await broker.publish(message(3))
        last = await fetched(subscription, 2)
        assert sorted(ids(last)) == ["0", "3"]
        for delivery in last:
            await delivery.done()
        await subscription.close()
    assert place(broker_url, topic) == 4


async def test_what_a_member_has_not_settled_is_delivered_to_another(
    broker_url: str, topic: str
) -> None:
    async with connected(settings(broker_url, topic), "test") as broker:
        await broker.ready()
        await broker.publish(message(1))
        one = await broker.subscribe("reader", topic, [TYPE])
        (held,) = await fetched(one, 1)
        other = await broker.subscribe("reader", topic, [TYPE])
        taken_over = asyncio.create_task(fetched(other, 1))
        await one.fetch(1)
        await one.close()
        assert ids(await taken_over) == [held.message.id]
        await other.close()


async def test_a_member_leaves_although_the_broker_hangs(failing: EmbeddedBroker) -> None:
    async with connected(settings(failing.url, "any"), "test") as broker:
        await broker.ready()
        await broker.publish(message(1))
        subscription = await broker.subscribe("reader", "any", [TYPE])
        await fetched(subscription, 1)
        answer_after(failing, milliseconds=600_000)
        async with asyncio.timeout(15):
            await subscription.close()
        readers = [thread for thread in threading.enumerate() if thread.name == "reader"]
        assert readers
        assert all(thread.daemon for thread in readers)
        answer_after(failing, milliseconds=0)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Refused),
        (KafkaError.INVALID_RECORD, Refused),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, BrokerUnavailable),
    ],
)
async def test_only_what_is_wrong_with_the_message_itself_is_a_refusal(
    failing: EmbeddedBroker, error: int, meaning: type[Exception]
) -> None:
    async with connected(settings(failing.url, "any"), "test") as broker:
        await broker.ready()
        fail_once(failing, PRODUCE, error)
        with pytest.raises(meaning):
            await broker.publish(message(1))


async def test_a_producer_that_takes_nothing_more_is_replaced(failing: EmbeddedBroker) -> None:
    async with connected(settings(failing.url, "any"), "test") as broker:
        await broker.ready()
        fail_once(failing, START_PRODUCER, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        with pytest.raises(BrokerUnavailable):
            await broker.publish(message(1))
        await broker.publish(message(1))


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate\n")
    with pytest.raises(ValidationError, match="must be a file of certificates"):
        BrokerSettings.model_validate({"ca_file": file})
