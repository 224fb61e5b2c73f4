"""Kafka behind the port: a topic for the service's events, a group for each consumer."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import concurrent.futures
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app.chassis.outbox.broker import BrokerUnavailable, Message, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.client import options
from app.chassis.outbox.group import GroupSubscription
from app.chassis.outbox.process import Outage
from app.chassis.outbox.publisher import Publisher

T = TypeVar("T")

LOOK_SECONDS = 2
ANSWERS = 4  # the most that one look waits for, with some to spare
RECONNECT_SECONDS = 0.25

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def connected(settings: BrokerSettings, name: str) -> "AsyncGenerator[KafkaBroker]":
    """Keep connections to the cluster while the block runs; it need not be there yet."""
    broker = KafkaBroker(settings, name)
    try:
        yield broker
    finally:
        await broker.close()


class KafkaBroker:
    """Looks every other second whether the cluster answers, and whether it has the topic.

    The client mends its connections itself and says nothing about it, so this is how an outage is
    noticed while nothing is published; nothing is given to the client before it is over.
    """

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self.settings = settings
        self._options = options(settings, name)
        self._up = asyncio.Event()
        self._trouble = ""
        self._admin = AdminClient(self._options, error_cb=self._note)
        self._publisher: Publisher | None = None
        self._keeper = asyncio.create_task(self._keep_looking())

    async def ready(self) -> None:
        """Wait until the cluster answers and has the topic."""
        await self._up.wait()

    async def publish(self, message: Message) -> None:
        """Publish and wait until all replicas in sync have the message."""
        if not self._up.is_set():
            raise BrokerUnavailable(self._trouble or "not connected")
        if self._publisher is None or self._publisher.broken:
            self._publisher = Publisher(self._options)
        await self._publisher.publish(self.settings.topic, message)

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        """Do nothing: a group that is new starts at the oldest message of the topic."""

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        """Join the group of the service's consumer."""
        group = f"{self.settings.topic}.{consumer}"
        return GroupSubscription(self._options, group, topic, types)

    async def close(self) -> None:
        """Leave the cluster."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._publisher is not None:
            await self._publisher.close()

    async def _keep_looking(self) -> None:
        outage = Outage("broker")
        while True:
            try:
                async with asyncio.timeout(ANSWERS * self._patience):
                    await self._ensure_topic()
            except Exception as error:  # noqa: BLE001 - whatever it is, look again
                self._up.clear()
                self._admin.poll(0)
                outage.begun(BrokerUnavailable(self._trouble or str(error)))
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                outage.over()
                self._up.set()
                await asyncio.sleep(LOOK_SECONDS)

    async def _ensure_topic(self) -> None:
        """Make the topic if nobody has; how it is replicated is the cluster's decision."""
        topic = self.settings.topic
        try:
            asked = self._admin.describe_topics(
                TopicCollection([topic]), request_timeout=self._patience
            )
            await _answer(asked[topic])
        except KafkaException as error:
            if _name(error) != "UNKNOWN_TOPIC_OR_PART":
                raise
            await self._make_topic(topic)
        self._trouble = ""

    async def _make_topic(self, topic: str) -> None:
        milliseconds = round(self.settings.retention.total_seconds() * 1000)
        new = NewTopic(topic, self.settings.partitions, config={"retention.ms": str(milliseconds)})
        try:
            await _answer(self._admin.create_topics([new], request_timeout=self._patience)[topic])
            log.info("topic_created", topic=topic)
        except KafkaException as error:
            if _name(error) == "_UNSUPPORTED_FEATURE":
                # The embedded broker makes a topic when it is asked about it.
                await asyncio.to_thread(self._admin.list_topics, topic, self._patience)
            elif _name(error) != "TOPIC_ALREADY_EXISTS":
                raise

    @property
    def _patience(self) -> float:
        return max(1.0, self.settings.connect_timeout.total_seconds())

    def _note(self, error: KafkaError) -> None:
        """Remember why: what the client tells of a failed request is that nobody answered."""
        if error.name() != "_ALL_BROKERS_DOWN":
            self._trouble = error.str()


async def _answer(future: "concurrent.futures.Future[T]") -> T:
    # The client minds its futures being cancelled.
    return await asyncio.shield(asyncio.wrap_future(future))


def _name(error: KafkaException) -> str:
    return error.args[0].name()
