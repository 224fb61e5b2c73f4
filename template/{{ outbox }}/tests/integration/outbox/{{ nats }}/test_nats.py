"""What JetStream adds to what every broker does."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from app.chassis.outbox.adapter import NatsBroker, connected
from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"
# What a server before 2.10 makes of several subjects.
EVERYTHING: list[str] = []
MESSAGE = Message("1", TYPE, "a", {"ce-id": "1"}, b"{}")


@pytest.fixture
async def broker(broker_url: str, topic: str) -> AsyncGenerator[NatsBroker]:
    settings = BrokerSettings.model_validate({"url": broker_url, "topic": topic})
    async with connected(settings, "test") as broker:
        await broker.ready()
        yield broker


@pytest.fixture
async def stream(broker_url: str) -> AsyncGenerator[JetStreamContext]:
    async with await nats.connect(broker_url) as client:
        yield client.jetstream()


async def change(stream: JetStreamContext, topic: str, **changed: Any) -> None:
    config = (await stream.stream_info(topic)).config
    await stream.update_stream(config, **changed)


async def publish(broker: NatsBroker, message: Message) -> None:
    """Publish, and do not wait for a confirmation that never comes."""
    async with asyncio.timeout(4):
        await broker.publish(message)


async def read(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(20):
        while not (deliveries := await subscription.fetch(1)):
            pass
    return deliveries[0]


async def test_the_stream_has_an_event_once_under_its_type(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    for _ in range(2):
        await publish(broker, MESSAGE)
    assert (await stream.stream_info(topic)).state.messages == 1
    assert (await stream.get_msg(topic, seq=1)).subject == f"{topic}.{TYPE}"


async def test_a_message_that_is_too_large_for_the_stream_is_refused(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    await change(stream, topic, max_msg_size=200)
    with pytest.raises(Refused):
        await publish(broker, Message("1", TYPE, "a", {"ce-id": "1"}, b"x" * 300))
    await publish(broker, MESSAGE)


async def test_a_message_that_is_too_large_for_the_server_with_its_headers_ends_no_connection(
    broker: NatsBroker, broker_url: str
) -> None:
    async with await nats.connect(broker_url) as client:
        body = b"x" * (client.max_payload - 50)
    # Its only other header is the one that names the message for JetStream.
    frame = len("NATS/1.0\r\n") + len("ce-id: \r\n") + len("Nats-Msg-Id: 1\r\n") + len("\r\n")
    fits, too_long = "i" * (50 - frame), "i" * (51 - frame)
    with pytest.raises(Refused):
        await publish(broker, Message("1", TYPE, "a", {"ce-id": too_long}, body))
    await publish(broker, Message("1", TYPE, "a", {"ce-id": fits}, body))


@pytest.mark.parametrize(
    "change_of_stream",
    [{"max_msgs": 1, "discard": "new"}, {"sealed": True}],
    ids=["full", "sealed"],
)
async def test_a_stream_that_takes_nothing_refuses_no_message(
    broker: NatsBroker, stream: JetStreamContext, topic: str, change_of_stream: dict[str, Any]
) -> None:
    await publish(broker, MESSAGE)
    await change(stream, topic, **change_of_stream)
    with pytest.raises(BrokerUnavailable):
        await publish(broker, Message("2", TYPE, "a", {"ce-id": "2"}, b"{}"))


async def test_a_consumer_keeps_the_types_that_another_release_handles(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE, "thing.new"])
    await broker.reserve("recorder", topic, [TYPE])
    assert await filtered(stream, topic) in ([f"{topic}.{TYPE}", f"{topic}.thing.new"], EVERYTHING)
    await publish(broker, Message("1", "thing.new", "a", {"ce-id": "1"}, b"{}"))
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    assert (await read(subscription)).message.type == "thing.new"


@pytest.mark.parametrize("wider", [">", "thing.>", "*.happened", "thing.*"])
async def test_a_filter_that_takes_in_the_types_is_left_as_it_is(
    broker: NatsBroker, stream: JetStreamContext, topic: str, wider: str
) -> None:
    subject = f"{topic}.{wider}"
    config = api.ConsumerConfig(
        durable_name="recorder",
        ack_policy=api.AckPolicy.EXPLICIT,
        max_deliver=7,
        filter_subjects=[subject],
    )
    await stream.add_consumer(topic, config)
    await broker.reserve("recorder", topic, [TYPE])
    assert await filtered(stream, topic) in ([subject], EVERYTHING)
    settings = (await stream.consumer_info(topic, "recorder")).config
    assert settings.max_deliver == 7
    assert settings.ack_wait == broker.settings.ack_wait.total_seconds()


async def test_releases_that_start_at_once_leave_each_others_types(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    types = [f"thing.new{number}" for number in range(5)]
    await asyncio.gather(*(broker.reserve("recorder", topic, [TYPE, type_]) for type_ in types))
    subjects = sorted(f"{topic}.{type_}" for type_ in [TYPE, *types])
    assert await filtered(stream, topic) in (subjects, EVERYTHING)


async def test_what_another_release_writes_late_takes_no_types_away(
    broker: NatsBroker, stream: JetStreamContext, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chassis.outbox.adapter.SETTLE_SECONDS", 3)
    await broker.reserve("recorder", topic, [TYPE])
    read_before = (await stream.consumer_info(topic, "recorder")).config
    mine, theirs = f"{topic}.thing.new1", f"{topic}.thing.new2"
    reserving = asyncio.create_task(broker.reserve("recorder", topic, [TYPE, "thing.new1"]))
    while await filtered(stream, topic) not in ([f"{topic}.{TYPE}", mine], EVERYTHING):
        assert not reserving.done()
    written_late = read_before.evolve(
        filter_subject=None, filter_subjects=[f"{topic}.{TYPE}", theirs]
    )
    await stream.add_consumer(topic, written_late)
    await reserving
    assert await filtered(stream, topic) in ([f"{topic}.{TYPE}", mine, theirs], EVERYTHING)


async def test_releases_that_make_the_consumer_at_once_leave_each_others_types(
    broker: NatsBroker, stream: JetStreamContext, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    look = broker.stream.consumer_info

    async def not_there_yet(*_: object) -> api.ConsumerInfo:
        monkeypatch.setattr(broker.stream, "consumer_info", look)
        raise NotFoundError

    monkeypatch.setattr(broker.stream, "consumer_info", not_there_yet)
    await broker.reserve("recorder", topic, ["thing.new"])
    both = [f"{topic}.{TYPE}", f"{topic}.thing.new"]
    assert await filtered(stream, topic) in (both, EVERYTHING)


async def test_what_is_as_it_should_be_is_not_written_again(
    broker_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"url": broker_url, "topic": topic, "ack_wait": 4.1}
    async with connected(BrokerSettings.model_validate(chosen), "test") as broker:
        await broker.ready()
        await broker.reserve("recorder", topic, [TYPE])
        monkeypatch.setattr("app.chassis.outbox.adapter.SETTLE_SECONDS", 60)
        async with asyncio.timeout(10):
            await broker.reserve("recorder", topic, [TYPE])


async def test_a_consumer_that_the_server_does_not_make_is_refused(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    await stream.delete_stream(topic)
    await stream.add_stream(name=topic, subjects=[f"{topic}.>"], max_consumers=1)
    await broker.reserve("copier", topic, [TYPE])
    with pytest.raises(Refused):
        await broker.reserve("recorder", topic, [TYPE])


async def filtered(stream: JetStreamContext, topic: str) -> list[str]:
    """The subjects that the consumer gets; a server before 2.10 knows no more than one."""
    config = (await stream.consumer_info(topic, "recorder")).config
    subjects = (config.filter_subject, *(config.filter_subjects or ()))
    return sorted(subject for subject in subjects if subject)


async def test_a_reader_of_a_consumer_that_is_not_there_is_told(
    broker: NatsBroker, stream: JetStreamContext, topic: str
) -> None:
    await broker.reserve("recorder", topic, [TYPE])
    subscription = await broker.subscribe("recorder", topic, [TYPE])
    await stream.delete_consumer(topic, "recorder")
    with pytest.raises(BrokerUnavailable):
        await read(subscription)
