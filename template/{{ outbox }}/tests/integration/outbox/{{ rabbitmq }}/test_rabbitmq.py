"""What is on RabbitMQ, what it refuses and sets aside; and machines without it."""

import asyncio
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiormq
import pytest
from aiormq import Channel
from aiormq.abc import AbstractChannel, ArgumentsType, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity, PublishError
from pamqp.commands import Basic

from app.__main__ import main
from app.chassis.outbox import adapter, queue, topology
from app.chassis.outbox.adapter import RabbitBroker, connected
from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from tests.kit.faults import proxied

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"
HEADERS = {"ce-id": "1", "ce-time": "2026-01-02T03:04:05Z", "content-type": "application/json"}
NO_ID = Basic.Properties(message_id="\0")  # where there is none, the client makes one up
FROM_THE_START = {"x-stream-offset": "first"}
MESSAGE = Message("1", TYPE, "a", HEADERS, b"{}")


@asynccontextmanager
async def connected_to(url: str, topic: str) -> AsyncGenerator[RabbitBroker]:
    settings = BrokerSettings.model_validate({"url": url, "topic": topic})
    async with connected(settings, "test") as broker:
        await broker.ready()
        yield broker


@pytest.fixture
async def broker(broker_url: str, topic: str) -> AsyncGenerator[RabbitBroker]:
    async with connected_to(broker_url, topic) as broker:
        yield broker


@pytest.fixture
async def channel(broker_url: str) -> AsyncGenerator[AbstractChannel]:
    async with aiormq.connect(broker_url) as connection:
        yield await connection.channel()


async def first_of(channel: AbstractChannel, name: str, **arguments: str) -> DeliveredMessage:
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    await channel.basic_qos(prefetch_count=1)
    await channel.basic_consume(name, arrived.put, arguments={**arguments})
    return await asyncio.wait_for(arrived.get(), 10)


async def fetched(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(10):
        while not (deliveries := await subscription.fetch(1)):
            pass
    return deliveries[0]


async def test_the_stream_has_an_event_with_the_properties_that_tools_know(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    await broker.publish(MESSAGE)
    stored = await first_of(channel, topic, **FROM_THE_START)
    properties = stored.header.properties
    assert (stored.exchange, stored.routing_key) == (topic, TYPE)
    assert (properties.message_id, properties.message_type) == ("1", TYPE)
    assert (properties.content_type, properties.app_id) == ("application/json", "test")
    assert properties.timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert properties.delivery_mode == 2


class Unreadable(Basic.Properties):
    """Properties as no client would write them."""

    def __init__(self, flag: str, value: bytes) -> None:
        super().__init__()
        self._raw = struct.pack(">H", self.flags[flag]) + value

    def marshal(self) -> bytes:
        return self._raw


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("timestamp", struct.pack(">Q", 2**63 - 1)),
        ("content_type", b"\x02\xff\xff"),
        ("message_id", b"\x02\xff\xff"),
    ],
)
async def test_properties_that_cannot_be_read_cost_no_other_message_anything(
    broker: RabbitBroker, channel: AbstractChannel, topic: str, flag: str, value: bytes
) -> None:
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    unreadable = Unreadable(flag, value)
    await channel.basic_publish(b"{}", exchange=topic, routing_key=TYPE, properties=unreadable)
    await broker.publish(MESSAGE)
    for body in (b"{}", MESSAGE.body):
        delivery = await fetched(subscription)
        assert (delivery.message.type, delivery.message.body) == (TYPE, body)
        await delivery.done()
    await subscription.close()


async def test_a_message_that_a_full_queue_rejects_is_refused(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    bounds: ArgumentsType = {"x-max-length": 1, "x-overflow": "reject-publish"}
    full = (await channel.queue_declare(exclusive=True, arguments=bounds)).queue or ""
    await channel.queue_bind(full, topic, "#")
    await broker.publish(MESSAGE)
    with pytest.raises(Refused):
        await broker.publish(MESSAGE)


async def test_without_the_stream_nothing_is_confirmed_until_it_is_made_again(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    await channel.queue_delete(topic)
    with pytest.raises(BrokerUnavailable):
        await broker.publish(MESSAGE)
    async with asyncio.timeout(10):
        await _published(broker)
    assert (await first_of(channel, topic, **FROM_THE_START)).header.properties.message_id == "1"


async def test_an_exchange_that_was_deleted_is_made_again_with_the_bindings_of_its_readers(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    await channel.exchange_delete(topic)
    async with asyncio.timeout(10):
        await _published(broker)
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    assert (await fetched(subscription)).message.id == "1"
    assert (await first_of(channel, topic, **FROM_THE_START)).header.properties.message_id == "1"


async def test_an_exchange_that_was_deleted_is_made_again_without_being_asked_for(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    await channel.exchange_delete(topic)
    async with asyncio.timeout(10):
        while not await _bound(channel, topic, f"{topic}.recorder"):  # noqa: ASYNC110 - it tells
            await asyncio.sleep(0.1)


async def _bound(channel: AbstractChannel, topic: str, name: str) -> bool:
    """Whether what is published gets into a queue."""
    if not await _exists(channel, topic):
        return False
    await channel.basic_publish(b"{}", exchange=topic, routing_key=TYPE)
    return bool((await channel.queue_declare(name, passive=True)).message_count)


async def _is_kept(channel: AbstractChannel, topic: str) -> bool:
    """Whether what is published gets anywhere."""
    if not await _exists(channel, topic):
        return False
    try:
        await channel.basic_publish(b"", exchange=topic, routing_key="probe", mandatory=True)
    except PublishError:
        return False
    return True


async def _exists(channel: AbstractChannel, topic: str) -> bool:
    found = await channel.connection.channel()
    try:
        await found.exchange_declare(topic, passive=True)
    except ChannelNotFoundEntity:
        return False
    await found.close()
    return True


async def test_what_is_confirmed_while_an_exchange_is_made_again_misses_no_reader(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    many = [f"thing.happened{number}" for number in range(200)]
    await broker.reserve("recorder", topic, many)
    last = Message("1", max(many), "a", HEADERS, b"{}")
    await channel.exchange_delete(topic)
    async with asyncio.timeout(10):
        while not await _is_kept(channel, topic):
            pass
        await _published(broker, last)
    subscription = await broker.subscribe("recorder", topic, many)
    assert (await fetched(subscription)).message.id == "1"


async def test_a_queue_that_cannot_be_had_keeps_nobody_from_publishing(
    broker: RabbitBroker,
    channel: AbstractChannel,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "LOOK_SECONDS", 0.05)
    for consumer in ("recorder", "copier"):
        await broker.reserve(consumer, topic, [TYPE])
    await channel.queue_delete(f"{topic}.recorder")
    # It is another connection's own now.
    await channel.queue_declare(f"{topic}.recorder", exclusive=True)
    with pytest.raises(Refused):
        await broker.reserve("recorder", topic, [TYPE])
    await channel.exchange_delete(topic)
    async with asyncio.timeout(10):
        await _published(broker)
    for _ in range(20):
        await asyncio.sleep(0.05)
        await broker.publish(MESSAGE)
    subscription = await broker.subscribe("copier", topic, [TYPE])
    assert (await fetched(subscription)).message.id == "1"


async def test_a_distant_broker_has_its_time_for_each_answer(
    broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "ANSWER_SECONDS", 0.5)
    with proxied(broker_url) as proxy:
        async with connected_to(proxy.url, topic) as broker:
            proxy.delay(0.05)
            for consumer in ("recorder", "copier"):
                await broker.reserve(consumer, topic, [TYPE, "a", "b"])
            proxy.cut()
            await _lost(broker)
            proxy.restore()
            proxy.delay(0.05)
            async with asyncio.timeout(10):
                await _published(broker)


async def test_who_waits_for_an_answer_when_a_connection_is_given_up_hears_of_it(
    broker_url: str, topic: str
) -> None:
    with proxied(broker_url) as proxy:
        async with connected_to(proxy.url, topic) as broker:
            proxy.delay(0.1)
            waiting = asyncio.create_task(broker.reserve("recorder", topic, [TYPE]))
            await asyncio.sleep(0.3)
            await broker.close()
            with pytest.raises(BrokerUnavailable):
                await waiting


async def test_a_client_that_gives_its_connection_up_by_itself_is_connected_again(
    broker: RabbitBroker,
) -> None:
    readers = [task for task in asyncio.all_tasks() if "Connection.__reader" in repr(task)]
    for reader in readers:
        reader.cancel()  # as it does when a server is silent
    assert readers
    await _lost(broker)
    async with asyncio.timeout(10):
        await _published(broker)


async def _lost(broker: RabbitBroker) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await broker.publish(MESSAGE)
            except BrokerUnavailable:
                return


async def _published(broker: RabbitBroker, message: Message = MESSAGE) -> None:
    while True:
        await broker.ready()
        try:
            return await broker.publish(message)
        except BrokerUnavailable:
            await asyncio.sleep(0.05)


async def test_what_is_given_back_comes_again_and_does_not_count_as_a_failure_to_deliver(
    broker: RabbitBroker, topic: str
) -> None:
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    await broker.publish(MESSAGE)
    for _ in range(30):
        await (await fetched(subscription)).give_back(0)
    delivery = await fetched(subscription)
    assert delivery.message.id == "1"
    assert "x-delivery-count" not in delivery.message.headers


async def test_a_message_that_ends_each_of_its_readers_is_set_aside_and_not_lost(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    await broker.publish(MESSAGE)
    for _ in range(21):
        subscription = await broker.subscribe("recorder", topic, [TYPE])
        await fetched(subscription)
        await subscription.close()
    dead = await first_of(channel, f"{topic}.recorder.dead")
    assert dead.header.properties.message_id == "1"


async def test_a_reader_that_could_not_begin_holds_nothing_back(
    broker: RabbitBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    await broker.publish(MESSAGE)
    begin = Channel.basic_consume

    async def begin_and_fail(self: Channel, *args: Any, **kwargs: Any) -> None:
        await begin(self, *args, **kwargs)
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(Channel, "basic_consume", begin_and_fail)
        with pytest.raises(BrokerUnavailable):
            await broker.subscribe("recorder", topic, [TYPE])
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    assert (await fetched(subscription)).message.id == "1"


async def test_a_client_that_never_sends_what_was_settled_holds_no_reader_up(
    broker: RabbitBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_for_ever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    subscription = await broker.subscribe("recorder", topic, [TYPE])
    await broker.publish(MESSAGE)
    with monkeypatch.context() as patched:
        patched.setattr(Channel, "basic_ack", wait_for_ever)
        patched.setattr(queue, "SETTLE_SECONDS", 0.1)
        async with asyncio.timeout(5):
            await (await fetched(subscription)).done()
    with pytest.raises(BrokerUnavailable):
        await subscription.fetch(1)
    await subscription.close()
    another = await broker.subscribe("recorder", topic, [TYPE])
    assert (await fetched(another)).message.id == "1"


async def test_a_message_without_an_id_is_recognised_by_its_content(
    broker: RabbitBroker, channel: AbstractChannel, topic: str
) -> None:
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    for body in (b"{}", b"{}", b"[]"):
        await channel.basic_publish(body, exchange=topic, routing_key=TYPE, properties=NO_ID)
    first, same, other = [(await fetched(subscription)).message.id for _ in range(3)]
    assert first == same != other


async def test_a_type_that_is_handled_no_more_is_not_handed_over(
    broker: RabbitBroker, topic: str
) -> None:
    await broker.reserve("recorder", topic, ["thing.gone", TYPE])
    await broker.publish(Message("0", "thing.gone", "a", {"ce-id": "0"}, b"{}"))
    await broker.publish(MESSAGE)
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    assert (await fetched(subscription)).message.id == "1"


def test_where_there_is_no_server_dev_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.dev.broker.PLACES", ("/nowhere",))
    monkeypatch.setattr(sys, "argv", ["service", "dev"])
    monkeypatch.setenv("DATABASE_URL", "postgresql://not.asked")
    monkeypatch.setenv("HTTP_DRAIN_DELAY", "0")
    monkeypatch.delenv("BROKER_URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Set BROKER_URL")
