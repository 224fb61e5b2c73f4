"""The place of a consumer in one partition.

Kafka keeps one number for it: everything before is done with. Messages are settled one by one and
in any order, so the place moves up to the first that is not settled yet, and no further.
"""

from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition


class Partition:
    """A partition for as long as it is this worker's."""

    def __init__(self, consumer: Consumer, topic: str, number: int) -> None:
        self.is_held = True
        self._consumer = consumer
        self._topic = topic
        self._number = number
        self._unsettled: set[int] = set()
        self._next = 0

    def begin(self, offset: int) -> None:
        """Note that a message was handed over."""
        self._unsettled.add(offset)
        self._next = offset + 1

    def settle(self, offset: int) -> None:
        """Move the place as far as that is possible; the client commits it before long.

        Once the partition is another worker's, its place is too.
        """
        self._unsettled.discard(offset)
        place = min(self._unsettled, default=self._next)
        if self.is_held:
            with suppress(KafkaException, RuntimeError):
                self._consumer.store_offsets(
                    offsets=[TopicPartition(self._topic, self._number, place)]
                )
