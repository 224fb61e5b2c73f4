"""Redis Streams behind the port: a stream for the topic, a consumer group for each reader."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress

from redis.exceptions import OutOfMemoryError, ResponseError

from app.chassis.identifiers import new_id
from app.chassis.outbox import entries
from app.chassis.outbox.broker import BrokerUnavailable, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.group import FAILURES, Group, GroupSubscription
from app.chassis.outbox.pipeline import Pipeline
from app.chassis.outbox.process import Outage
from app.chassis.redis_client import redis_client

RECONNECT_SECONDS = 0.25
PING_SECONDS = 2
ANSWER_SECONDS = 5
TRIM_SECONDS = 0.1

# The server's word for "this command cannot be"; all its other words say how the server is.
WRONG = "ERR"


@asynccontextmanager
async def connected(settings: BrokerSettings, name: str) -> "AsyncGenerator[RedisBroker]":
    """Keep a connection to the broker while the block runs; it need not be there yet."""
    broker = RedisBroker(settings, name)
    try:
        yield broker
    finally:
        await broker.close()


class RedisBroker:
    """Holds a client that makes a connection whenever it needs one, and tries nothing twice.

    Each process is a consumer of its own in the groups, for as long as it lives.
    """

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self.settings = settings
        self._client = redis_client(
            settings.servers[0],
            connect_timeout=settings.connect_timeout.total_seconds(),
            timeout=ANSWER_SECONDS,
            name=name.replace(" ", "-"),
        )
        self._pipeline = Pipeline(self._client)
        self._process = f"{name}-{new_id()}"
        self._trim_at = 0.0
        self._up = asyncio.Event()
        self._closing = False
        self._keeper = asyncio.create_task(self._watch())

    async def ready(self) -> None:
        """Wait until the server answers."""
        await self._up.wait()

    async def publish(self, message: Message) -> None:
        """Append to the stream and wait for the server's reply, which is its confirmation."""
        try:
            fields = entries.fields_of(message)
        except ValueError as error:
            raise Refused(str(error)) from error
        try:
            await self._pipeline.send("XADD", self.settings.topic, *self._trim(), "*", *fields)
        except ResponseError as error:
            if error.status_code == WRONG:
                raise Refused(str(error)) from error
            if isinstance(error, OutOfMemoryError):
                await self._make_room()
            raise BrokerUnavailable(str(error)) from error
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        """Make the consumer group; a stream has no filter, so its reader chooses by type."""
        del types
        try:
            await self._group(consumer, topic).make()
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        """Start to read as a member of the group."""
        group = self._group(consumer, topic)
        try:
            await group.make()
            await group.sweep()
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error
        return GroupSubscription(group, types)

    async def close(self) -> None:
        """Leave the broker."""
        # The client may not mind being cancelled while an answer comes in.
        self._closing = True
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._pipeline.close()
        await self._client.aclose()

    def _group(self, consumer: str, topic: str) -> Group:
        lease = round(self.settings.ack_wait.total_seconds() * 1000)
        return Group(self._client, self._pipeline, topic, consumer, self._process, lease)

    def _trim(self) -> tuple[str | int, ...]:
        """Have the stream forget what is too old: now and then, and only whole nodes of it."""
        now = time.monotonic()
        if now < self._trim_at:
            return ()
        self._trim_at = now + TRIM_SECONDS
        return self._too_old()

    async def _make_room(self) -> None:
        """Trim alone: what comes with an entry is refused with it."""
        with suppress(*FAILURES):
            await self._pipeline.send("XTRIM", self.settings.topic, *self._too_old())

    def _too_old(self) -> tuple[str | int, ...]:
        oldest = time.time() - self.settings.retention.total_seconds()
        return "MINID", "~", max(0, int(oldest * 1000))

    async def _watch(self) -> None:
        outage = Outage("broker")
        while not self._closing:
            try:
                await self._client.ping()
            except Exception as error:  # noqa: BLE001 - whatever it is, look again
                self._up.clear()
                outage.begun(error)
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._up.set()
                outage.over()
                await asyncio.sleep(PING_SECONDS)
