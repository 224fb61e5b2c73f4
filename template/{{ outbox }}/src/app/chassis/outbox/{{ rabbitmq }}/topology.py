"""What the service makes on the broker, where nobody has made it before.

What is there already stays as it is: how it is replicated and bounded is its owner's decision.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import structlog
from aiormq import Connection
from aiormq.abc import AbstractChannel, ArgumentsType
from aiormq.exceptions import AMQPChannelError, ChannelAccessRefused, ChannelNotFoundEntity

# So often may a message end the process that reads it; then the broker sets it aside.
DELIVERY_LIMIT = 20
ANY_TYPE = "#"
ANSWER_SECONDS = 5

T = TypeVar("T")

Readers = Mapping[tuple[str, str], Collection[str]]
"""The types that are read, by topic and consumer."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def queue_of(topic: str, consumer: str) -> str:
    """Return the name of a consumer's queue."""
    return f"{topic}.{consumer}"


async def open_channel(connection: Connection) -> AbstractChannel:
    """Open a channel for anything but publishing."""
    return await answer(connection.channel(publisher_confirms=False))


async def answer(call: Awaitable[T]) -> T:
    """Wait for an answer, and not for ever; the client's own timeouts may lose a cancellation."""
    async with asyncio.timeout(ANSWER_SECONDS):
        return await call


async def has_topic(connection: Connection, topic: str) -> bool:
    """Whether there is the exchange, and the stream behind it."""
    return await _are_there(
        connection,
        lambda channel: channel.exchange_declare(topic, passive=True),
        lambda channel: channel.queue_declare(topic, passive=True),
    )


async def make_exchange(connection: Connection, topic: str) -> None:
    """Make the exchange that a topic's events are published to."""
    if not await _are_there(
        connection, lambda channel: channel.exchange_declare(topic, passive=True)
    ):
        channel = await open_channel(connection)
        await answer(channel.exchange_declare(topic, exchange_type="topic", durable=True))
        await answer(channel.close())
        log.info("exchange_created", topic=topic)


async def make_stream(connection: Connection, topic: str, retention: timedelta) -> None:
    """Make the stream that keeps all that is published, for whoever wants it."""
    if not await _has_queue(connection, topic):
        age = f"{round(retention.total_seconds())}s"
        arguments: ArgumentsType = {"x-queue-type": "stream", "x-max-age": age}
        channel = await open_channel(connection)
        await answer(channel.queue_declare(topic, durable=True, arguments=arguments))
        await answer(channel.close())
        log.info("stream_created", topic=topic)
    # Who may publish and no more has had it bound by its owner.
    with suppress(ChannelAccessRefused):
        channel = await open_channel(connection)
        await answer(channel.queue_bind(topic, topic, ANY_TYPE))
        await answer(channel.close())


async def make_queues(
    connection: Connection, readers: Readers, retention: timedelta
) -> Exception | None:
    """Give all readers what they need, on one channel if they have it.

    Returns why one of them could not be given it, which is no reason for the others to wait.
    """
    failure: Exception | None = None
    if not readers:
        return None
    channel = await open_channel(connection)
    for (topic, consumer), types in readers.items():
        try:
            await _bind(channel, topic, consumer, types)
        except (AMQPChannelError, TimeoutError):
            try:
                await make_queue(connection, topic, consumer, types, retention)
            except (AMQPChannelError, TimeoutError) as error:
                failure = error
            channel = await open_channel(connection)
    await answer(channel.close())
    return failure


async def make_queue(
    connection: Connection,
    topic: str,
    consumer: str,
    types: Collection[str],
    retention: timedelta,
) -> None:
    """Make the queue of a consumer, the queue for what it cannot be given, and the bindings."""
    queue = queue_of(topic, consumer)
    exists = await _has_queue(connection, queue)
    channel = await open_channel(connection)
    if not exists:
        await _declare(channel, queue, round(retention.total_seconds() * 1000))
    await _bind(channel, topic, consumer, types)
    await answer(channel.close())


async def _bind(
    channel: AbstractChannel, topic: str, consumer: str, types: Collection[str]
) -> None:
    for type_ in sorted(types):
        await answer(channel.queue_bind(queue_of(topic, consumer), topic, type_))


async def _declare(channel: AbstractChannel, queue: str, milliseconds: int) -> None:
    dead = f"{queue}.dead"
    kept: ArgumentsType = {"x-queue-type": "quorum", "x-message-ttl": milliseconds}
    arguments: ArgumentsType = {
        **kept,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    await answer(channel.queue_declare(dead, durable=True, arguments=kept))
    await answer(channel.queue_declare(queue, durable=True, arguments=arguments))


async def _has_queue(connection: Connection, queue: str) -> bool:
    return await _are_there(connection, lambda channel: channel.queue_declare(queue, passive=True))


async def _are_there(
    connection: Connection, *looks: Callable[[AbstractChannel], Awaitable[object]]
) -> bool:
    """Look on a channel of its own: the broker closes it if there is nothing."""
    channel = await open_channel(connection)
    try:
        for look in looks:
            await answer(look(channel))
    except ChannelNotFoundEntity:
        return False
    await answer(channel.close())
    return True
