"""RabbitMQ behind the port: an exchange and a stream for the topic, a queue for each reader."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import cycle

from aiormq import Connection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic
from yarl import URL

from app.chassis.outbox import topology
from app.chassis.outbox.broker import BrokerUnavailable, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.process import Outage, is_wanted_to_end
from app.chassis.outbox.properties import tolerate_unreadable
from app.chassis.outbox.queue import (
    CLOSE_SECONDS,
    GIVEN_UP,
    QueueSubscription,
    answering,
    leave,
)

RECONNECT_SECONDS = 0.25
# The client misses a silent server after three of them and a bit: 18 seconds.
HEARTBEAT_SECONDS = 5
LOOK_SECONDS = 2
PERSISTENT = 2

_REFUSALS = (ChannelAccessRefused, ChannelLockedResource, ChannelPreconditionFailed)

tolerate_unreadable()
# What it would tell about connections and channels, this module tells in its own words.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


@asynccontextmanager
async def connected(settings: BrokerSettings, name: str) -> "AsyncGenerator[RabbitBroker]":
    """Keep a connection to the broker while the block runs; it need not be there yet."""
    broker = RabbitBroker(settings, name)
    try:
        yield broker
    finally:
        await broker.close()


class RabbitBroker:
    """Holds one connection, and makes a new one whenever it or its channel is lost.

    It does not use a client that reconnects by itself: the relay must know what was not confirmed.
    """

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self.settings = settings
        self._servers = cycle(settings.servers)
        self._name = name
        self._up = asyncio.Event()
        self._connection: Connection | None = None
        self._channel: AbstractChannel | None = None
        self._reserved: dict[tuple[str, str], Collection[str]] = {}
        self._binding = Outage("bindings")
        self._keeper = asyncio.create_task(self._keep_connected())

    async def ready(self) -> None:
        """Wait until there is a connection, and the topic behind it."""
        await self._up.wait()

    async def publish(self, message: Message) -> None:
        """Publish and wait for the broker's confirmation that all its queues have it."""
        connection, channel = self._connection, self._channel
        if connection is None or channel is None:
            raise BrokerUnavailable("not connected")
        with answering():
            # A server that is short of memory or disk takes nothing, and says when it does again.
            await connection.ready()
            try:
                await channel.basic_publish(
                    message.body,
                    exchange=self.settings.topic,
                    routing_key=message.type,
                    properties=self._properties(message),
                    mandatory=True,
                )
            except PublishError as error:
                await channel.close(GIVEN_UP)  # the next one makes what is missing
                raise BrokerUnavailable("there is no queue that keeps it") from error
            except (DeliveryError, ValueError, TypeError) as error:
                raise Refused(str(error)) from error
            except Exception as error:
                if f"message size {len(message.body)} is larger" in str(error):
                    raise Refused(str(error)) from error
                raise

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        """Make the consumer's queue, or have it get more types."""
        if self._connection is None:
            raise BrokerUnavailable("not connected")
        with answering():
            try:
                await topology.make_queue(
                    self._connection, topic, consumer, types, self.settings.retention
                )
            except _REFUSALS as error:
                raise Refused(str(error)) from error
        self._reserved[topic, consumer] = types

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        """Start to read from the consumer's queue."""
        await self.reserve(consumer, topic, types)
        if self._connection is None:
            raise BrokerUnavailable("not connected")
        with answering():
            channel = await topology.open_channel(self._connection)
            queue = topology.queue_of(topic, consumer)
            return await QueueSubscription.open(channel, queue, types)

    async def close(self) -> None:
        """Leave the broker, with what is in flight sent."""
        while not self._keeper.done():
            # Where the client waits for something, it may lose a cancellation.
            self._keeper.cancel()
            await asyncio.wait((self._keeper,), timeout=CLOSE_SECONDS)
        await self._disconnect()

    def _properties(self, message: Message) -> Basic.Properties:
        headers = message.headers
        time = headers.get("ce-time")
        return Basic.Properties(
            content_type=headers.get("content-type"),
            headers={name: headers[name] for name in headers if name != "content-type"},
            delivery_mode=PERSISTENT,
            message_id=message.id,
            message_type=message.type,
            timestamp=datetime.fromisoformat(time) if time else None,
            app_id=self._name,
        )

    async def _keep_connected(self) -> None:
        outage = Outage("broker")
        while True:
            try:
                connection, lost = await self._connect()
                outage.over()
                await self._look_after(connection, lost)
            except (Exception, asyncio.CancelledError) as error:
                if is_wanted_to_end():
                    raise
                outage.begun(error)
            await self._disconnect()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self) -> "tuple[Connection, asyncio.Future[None]]":
        """Connect to the next node; returns a future, too, that fails when that is lost."""
        timeout = self.settings.connect_timeout.total_seconds()
        address = URL(next(self._servers)).update_query(heartbeat=HEARTBEAT_SECONDS)
        connection = Connection(address)
        async with asyncio.timeout(timeout):
            await connection.connect(client_properties={"connection_name": self._name})
        self._connection = connection
        await self._make_what_is_missing(connection)
        self._channel = await topology.answer(connection.channel())
        self._up.set()
        return connection, self._channel.closing

    async def _make_what_is_missing(self, connection: Connection) -> None:
        """Make the topic, and give consumers their part: an exchange takes all bindings along.

        Until the stream is bound nothing is confirmed, so what is published misses no consumer.
        """
        topic, retention = self.settings.topic, self.settings.retention
        await topology.make_exchange(connection, topic)
        await self._give_consumers_their_part(connection)
        await topology.make_stream(connection, topic, retention)

    async def _give_consumers_their_part(self, connection: Connection) -> None:
        known = dict(self._reserved)
        # What belongs to another service may not be there now.
        failure = await topology.make_queues(connection, known, self.settings.retention)
        if failure:
            self._binding.begun(failure)
        else:
            self._binding.over()

    async def _look_after(self, connection: Connection, lost: "asyncio.Future[None]") -> None:
        """Raise why the connection is lost; a server that is silent is asked."""
        while not (await asyncio.wait((lost,), timeout=LOOK_SECONDS))[0]:
            if not await topology.has_topic(connection, self.settings.topic):
                raise BrokerUnavailable("the exchange or its stream has been deleted")
            await self._give_consumers_their_part(connection)
        await lost

    async def _disconnect(self) -> None:
        self._up.clear()
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await leave(connection)
