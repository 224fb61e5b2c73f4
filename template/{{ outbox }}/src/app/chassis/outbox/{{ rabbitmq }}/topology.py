"""What the service makes on the broker, where nobody has made it before.

What is there already stays as it is: how it is replicated and bounded is its owner's decision.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta

import structlog
from aiormq import Connection
from aiormq.abc import AbstractChannel, ArgumentsType
from aiormq.exceptions import ChannelNotFoundEntity

# So often may a message end the process that reads it; then the broker sets it aside.
DELIVERY_LIMIT = 20
ANY_TYPE = "#"

Readers = Mapping[tuple[str, str], Collection[str]]
"""The types that are read, by topic and consumer."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def queue_of(topic: str, consumer: str) -> str:
    """Return the name of a consumer's queue."""
    return f"{topic}.{consumer}"


async def make_topic(connection: Connection, topic: str, retention: timedelta) -> None:
    """Make the exchange, and a stream that keeps all that is published, for whoever wants it."""
    exchange = await _is_there(
        connection, lambda found: found.exchange_declare(topic, passive=True)
    )
    stream = await _is_there(connection, lambda found: found.queue_declare(topic, passive=True))
    if exchange and stream:
        return
    channel = await connection.channel(publisher_confirms=False)
    if not exchange:
        await channel.exchange_declare(topic, exchange_type="topic", durable=True)
    if not stream:
        age = f"{round(retention.total_seconds())}s"
        arguments: ArgumentsType = {"x-queue-type": "stream", "x-max-age": age}
        await channel.queue_declare(topic, durable=True, arguments=arguments)
    await channel.queue_bind(topic, topic, ANY_TYPE)
    await channel.close()
    log.info("stream_created", topic=topic)


async def is_complete(connection: Connection, topic: str, readers: Readers) -> bool:
    """Whether a topic is there, and every reader's queue gets its types; on one channel."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.exchange_declare(topic, passive=True)
        await channel.queue_declare(topic, passive=True)
        for (read, consumer), types in readers.items():
            await _bind(channel, read, consumer, types)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def make_queue(
    connection: Connection,
    topic: str,
    consumer: str,
    types: Collection[str],
    retention: timedelta,
) -> None:
    """Make the queue of a consumer, the queue for what it cannot be given, and the bindings."""
    queue = queue_of(topic, consumer)
    exists = await _is_there(connection, lambda found: found.queue_declare(queue, passive=True))
    channel = await connection.channel(publisher_confirms=False)
    if not exists:
        await _declare(channel, queue, round(retention.total_seconds() * 1000))
    await _bind(channel, topic, consumer, types)
    await channel.close()


async def _bind(
    channel: AbstractChannel, topic: str, consumer: str, types: Collection[str]
) -> None:
    for type_ in sorted(types):
        await channel.queue_bind(queue_of(topic, consumer), topic, type_)


async def _declare(channel: AbstractChannel, queue: str, milliseconds: int) -> None:
    dead = f"{queue}.dead"
    kept: ArgumentsType = {"x-queue-type": "quorum", "x-message-ttl": milliseconds}
    arguments: ArgumentsType = {
        **kept,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    await channel.queue_declare(dead, durable=True, arguments=kept)
    await channel.queue_declare(queue, durable=True, arguments=arguments)


async def _is_there(
    connection: Connection, look: Callable[[AbstractChannel], Awaitable[object]]
) -> bool:
    """Look on a channel of its own: the broker closes it if there is nothing."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await look(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
