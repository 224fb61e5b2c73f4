"""Reading from a topic as a member of a group, among whose members the partitions are shared."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message
from app.chassis.outbox.calls import CallThread
from app.chassis.outbox.client import Options
from app.chassis.outbox.partition import Partition
from app.chassis.outbox.wire import received

T = TypeVar("T")

WAIT_SECONDS = 0.5
CLOSE_SECONDS = 5
OPTIONS: Options = {
    # A group that is new begins at the oldest message, so nobody needs to make it beforehand.
    "auto.offset.reset": "earliest",
    # Only the partitions that move to another worker stand still meanwhile.
    "partition.assignment.strategy": "cooperative-sticky",
    # How long the partitions of a worker that was killed stand still.
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 3000,
    # The client commits the places that `Partition` stores, also when one is taken away.
    "enable.auto.offset.store": False,
    "enable.auto.commit": True,
    "auto.commit.interval.ms": 1000,
}


class GroupSubscription:
    """A member of a group; the client's calls block, so they have a thread."""

    def __init__(self, options: Options, group: str, topic: str, types: Collection[str]) -> None:
        self._topic = topic
        self._types = frozenset(types)
        self._partitions: dict[int, Partition] = {}
        self._returned: deque[_KafkaDelivery] = deque()
        self._thread = CallThread("reader")
        logger = logging.getLogger(__name__)
        self._consumer = Consumer({**options, **OPTIONS, "group.id": group}, logger=logger)
        self._consumer.subscribe(
            [topic], on_assign=self._take_up, on_revoke=self._leave, on_lost=self._leave
        )

    async def fetch(self, limit: int) -> list[Delivery]:
        """Wait a moment for the first message, and take those that came with it."""
        again = [self._returned.popleft() for _ in range(min(limit, len(self._returned)))]
        fetched: list[Delivery] = [delivery for delivery in again if delivery.is_held]
        if len(again) < limit:
            wait = 0 if fetched else WAIT_SECONDS
            arrived = await self._call(self._poll, limit - len(again), wait)
            fetched += [delivery for raw in arrived if (delivery := self._begun(raw))]
        return fetched

    async def close(self) -> None:
        """Leave the group; what is not settled is delivered to another member.

        With a broker that does not answer, the client would wait for it to do so.
        """
        with suppress(TimeoutError, BrokerUnavailable):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._call(self._consumer.close)
        self._thread.end()

    def _poll(self, limit: int, wait: float) -> list[KafkaMessage]:
        first = self._consumer.poll(wait)
        arrived = [first, *self._consumer.consume(limit - 1, 0)] if first else []
        for message in arrived:
            if error := message.error():
                raise BrokerUnavailable(error.str())
        return arrived

    def _begun(self, raw: KafkaMessage) -> "_KafkaDelivery | None":
        """Take charge of a message, unless its partition has moved or nobody here handles it."""
        number, offset = raw.partition(), raw.offset()
        assert number is not None
        assert offset is not None
        if (partition := self._partitions.get(number)) is None:
            return None
        partition.begin(offset)
        message = received(raw)
        if message.type not in self._types:
            partition.settle(offset)
            return None
        return _KafkaDelivery(message, partition, offset, self._returned)

    def _take_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._partitions[one.partition] = Partition(consumer, self._topic, one.partition)

    def _leave(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            if left := self._partitions.pop(one.partition, None):
                left.is_held = False

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await self._thread.run(work, *arguments)
        except KafkaException as error:
            raise BrokerUnavailable(str(error)) from error


class _KafkaDelivery:
    """A message that the group's place in its partition waits for."""

    def __init__(
        self,
        message: Message,
        partition: Partition,
        offset: int,
        returned: "deque[_KafkaDelivery]",
    ) -> None:
        self.message = message
        self._partition = partition
        self._offset = offset
        self._returned = returned

    @property
    def is_held(self) -> bool:
        """Whether it is still this worker's to deliver."""
        return self._partition.is_held

    async def done(self) -> None:
        self._partition.settle(self._offset)

    async def give_back(self, seconds: float) -> None:
        """Keep it in memory for the pause; what came after it is not held up."""
        asyncio.get_running_loop().call_later(seconds, self._returned.append, self)
