"""Publishing: the client confirms in a thread, and the event loop hears of many at once."""

import asyncio
import logging
import threading
from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from app.chassis.outbox.broker import BrokerUnavailable, Message, Refused
from app.chassis.outbox.client import Options
from app.chassis.outbox.wire import headers_for_kafka

POLL_SECONDS = 0.2
OPTIONS: Options = {
    "acks": "all",
    "enable.idempotence": True,
    # As Java's clients do, so that an aggregate has one partition, whoever writes of it.
    "partitioner": "murmur2_random",
    "linger.ms": 1,
    # A batch counts as one message where the broker looks at the size, so it is kept small; how
    # large an event may be is the broker's decision.
    "batch.size": 100_000,
    "message.max.bytes": 1_000_000_000,
    # What is not confirmed by then never will be: the relay publishes it again.
    "message.timeout.ms": 5000,
}

# What is wrong with the message itself. All else is about the cluster, its settings or its
# permissions: there the event waits.
_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_Report = tuple["asyncio.Future[None]", KafkaError | None]


class Publisher:
    """A producer that keeps the order and repeats nothing by itself, with its thread."""

    def __init__(self, options: Options) -> None:
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._reports: list[_Report] = []
        self._closing = False
        logger = logging.getLogger(__name__)
        self._producer = Producer({**options, **OPTIONS}, logger=logger)
        self._thread = threading.Thread(target=self._serve, name="publisher", daemon=True)
        self._thread.start()

    async def publish(self, topic: str, message: Message) -> None:
        """Return once all replicas in sync have the message.

        Raises:
            BrokerUnavailable: there was no confirmation.
            Refused: the broker does not take this message.
        """
        confirmation: asyncio.Future[None] = self._loop.create_future()

        def on_delivery(error: KafkaError | None, _message: KafkaMessage) -> None:
            self._reports.append((confirmation, error))

        try:
            self._producer.produce(
                topic,
                key=message.key.encode(),
                value=message.body,
                headers=headers_for_kafka(message.headers),
                on_delivery=on_delivery,
            )
        except KafkaException as error:
            raise _failure(error.args[0]) from error
        except BufferError as error:
            raise BrokerUnavailable(str(error)) from error
        await confirmation

    async def close(self) -> None:
        """Drop what is not confirmed yet."""
        self._closing = True
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while not self._is_done():
            try:
                self._producer.poll(POLL_SECONDS)
            except KafkaException as error:
                # It is fatal: this producer takes nothing more, and reports what it had as failed.
                log.warning("producer_broken", error=str(error))
                self.broken = True
            if self._reports:
                reports, self._reports = self._reports, []
                self._loop.call_soon_threadsafe(_settle, reports)
        self._producer.purge()

    def _is_done(self) -> bool:
        return self._closing or (self.broken and len(self._producer) == 0)


def _settle(reports: Sequence[_Report]) -> None:
    for confirmation, error in reports:
        if confirmation.done():
            continue
        if error is None:
            confirmation.set_result(None)
        else:
            confirmation.set_exception(_failure(error))


def _failure(error: KafkaError) -> Exception:
    return Refused(error.str()) if error.code() in _REFUSALS else BrokerUnavailable(error.str())
