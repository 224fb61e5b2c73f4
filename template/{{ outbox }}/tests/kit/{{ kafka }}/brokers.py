"""Brokers for tests: the one behind `BROKER_URL`, else an embedded one; and what is on it."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.client import options
from app.chassis.outbox.cloudevents import escaped
from app.chassis.outbox.wire import headers_for_kafka
from app.dev.broker import EmbeddedBroker, temporary_broker

__all__ = [
    "Published",
    "broker",
    "delete_topic",
    "publish",
    "reading",
    "restartable",
    "stored",
    "watching",
]

WAIT_SECONDS = 30


@dataclass(frozen=True)
class Published:
    """A message as the broker has it."""

    key: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["ce-id"]

    @classmethod
    def of(cls, raw: confluent_kafka.Message) -> "Published":
        """Read what Kafka has; its binding neither says `ce-` nor escapes."""
        headers = {
            name.replace("ce_", "ce-"): value.decode()
            for name, value in dict(raw.headers() or {}).items()
            if isinstance(value, bytes)
        }
        for name in ("ce-subject", "ce-partitionkey"):
            headers[name] = escaped(headers.get(name, ""))
        return cls((raw.key() or b"").decode(), headers, raw.value() or b"")


@contextmanager
def broker() -> Generator[str]:
    """Yield the URL of a broker."""
    if url := os.environ.get("BROKER_URL"):
        yield url
    else:
        with temporary_broker() as url:
            yield url


class RestartableBroker:
    """A broker that is down at first, and keeps its address and its messages."""

    def __init__(self) -> None:
        self._broker = EmbeddedBroker()
        self._broker.go_down()
        self.url = self._broker.url

    @contextmanager
    def up(self) -> Generator[None]:
        """Run it for the length of the block."""
        self._broker.come_up()
        yield
        self._broker.go_down()


def restartable(_directory: Path) -> RestartableBroker:
    """Prepare a broker of the test's own."""
    return RestartableBroker()


def stored(url: str, topic: str) -> list[Published]:
    """Return what the broker has stored, the messages of each key in order."""
    found: list[Published] = []
    with reading(url, topic) as reader:
        open_partitions = len(reader.assignment())
        while open_partitions:
            message = reader.poll(WAIT_SECONDS)
            assert message is not None
            if (error := message.error()) is None:
                found.append(Published.of(message))
            else:
                assert error.name() == "_PARTITION_EOF"
                open_partitions -= 1
    return found


def publish(url: str, topic: str, type_: str, headers: Mapping[str, str], body: bytes) -> None:
    """Publish a message, as another service might."""
    producer = Producer(_options(url))
    wire = headers_for_kafka({"ce-type": type_, **headers})
    producer.produce(topic, body, headers["ce-partitionkey"], headers=wire)
    assert producer.flush(WAIT_SECONDS) == 0


def delete_topic(url: str, topic: str) -> None:
    """Remove what a test has left; the embedded broker keeps it until it ends."""
    admin = AdminClient(_options(url))  # answers come while it lives
    deleted = admin.delete_topics([topic])[topic]
    with suppress(confluent_kafka.KafkaException):
        deleted.result(WAIT_SECONDS)


@contextmanager
def watching(url: str, topic: str) -> Generator[list[Published]]:
    """Collect everything that is published."""
    seen: list[Published] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            message = reader.poll(0.05)
            if message is not None and message.error() is None:
                seen.append(Published.of(message))

    with reading(url, topic) as reader:
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield seen
        finally:
            stop.set()
            watcher.join()


@contextmanager
def reading(url: str, topic: str) -> Generator[Consumer]:
    """Read a topic from its beginning, beside its groups; it is made if there is none."""
    asyncio.run(_made(url, topic))
    group = {"group.id": "kit", "enable.auto.commit": False, "enable.partition.eof": True}
    reader = Consumer({**_options(url), **group})
    try:
        known = reader.list_topics(topic, WAIT_SECONDS).topics[topic].partitions
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in known])
        yield reader
    finally:
        reader.close()


async def _made(url: str, topic: str) -> None:
    async with connected(_settings(url, topic), "kit") as broker:
        await broker.ready()


def _settings(url: str, topic: str) -> BrokerSettings:
    return BrokerSettings.model_validate({"url": url, "topic": topic})


def _options(url: str) -> dict[str, str | int | float | bool]:
    return options(_settings(url, "any"), "kit")
