"""Brokers for tests: the one behind `BROKER_URL`, else an embedded one; and what is on it."""

import asyncio
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import aiormq
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from app.dev.broker import find_binary, start_broker, temporary_broker
from app.dev.servers import NoServerBinary, free_port

__all__ = ["Published", "broker", "delete_topic", "publish", "restartable", "stored", "watching"]

# No broker tells which queues there are; these are the consumers in tests.
CONSUMERS = ("recorder", "copier", "order-statistics")
END = "end-of-what-is-stored"


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
    def of(cls, raw: DeliveredMessage) -> "Published":
        """Read what RabbitMQ has; its own properties of the message repeat the event's."""
        properties = raw.header.properties
        headers = {name: str(value) for name, value in (properties.headers or {}).items()}
        headers.pop("x-stream-offset", None)
        assert properties.message_id == headers["ce-id"]
        if properties.content_type:
            headers["content-type"] = properties.content_type
        return cls(unquote(headers["ce-partitionkey"]), headers, raw.body)


@contextmanager
def broker() -> Generator[str]:
    """Yield the URL of a broker; where there is none, the tests that need one are skipped."""
    if url := os.environ.get("BROKER_URL"):
        yield url
    else:
        _require_a_server()
        with temporary_broker() as url:
            yield url


def _require_a_server() -> None:
    try:
        find_binary("rabbitmq-server")
    except NoServerBinary as error:
        pytest.skip(str(error))


class RestartableBroker:
    """A broker that is down at first, and keeps its address and its messages."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"

    @contextmanager
    def up(self) -> Generator[None]:
        """Run it for the length of the block."""
        with start_broker(self._directory, self._port):
            yield


def restartable(directory: Path) -> RestartableBroker:
    """Prepare a broker of the test's own."""
    _require_a_server()
    return RestartableBroker(directory)


def stored(url: str, topic: str) -> list[Published]:
    """Return what the broker has stored, in order."""

    async def read() -> list[Published]:
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            end = await _mark_end(channel, topic)
            return [Published.of(raw) for raw in await _read_until(channel, topic, end)]

    return asyncio.run(read())


async def _mark_end(channel: AbstractChannel, topic: str) -> str:
    """Put a message behind all that is in the stream, past the exchange: nobody else gets it."""
    end = uuid4().hex
    properties = Basic.Properties(message_id=end, message_type=END)
    await channel.basic_publish(b"", routing_key=topic, properties=properties)
    return end


async def _read_until(channel: AbstractChannel, topic: str, end: str) -> list[DeliveredMessage]:
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    await channel.basic_qos(prefetch_count=1000)
    await channel.basic_consume(topic, arrived.put, arguments={"x-stream-offset": "first"})
    read: list[DeliveredMessage] = []
    while True:
        raw = await asyncio.wait_for(arrived.get(), 10)
        await channel.basic_ack(raw.delivery_tag or 0)
        if raw.header.properties.message_id == end:
            return read
        if raw.header.properties.message_type != END:
            read.append(raw)


def publish(url: str, topic: str, type_: str, headers: Mapping[str, str], body: bytes) -> None:
    """Publish a message, as another service might."""

    async def send() -> None:
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            properties = Basic.Properties(headers=dict(headers))
            await channel.basic_publish(
                body, exchange=topic, routing_key=type_, properties=properties
            )

    asyncio.run(send())


def delete_topic(url: str, topic: str) -> None:
    """Remove what a test has left."""

    async def delete() -> None:
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            await channel.exchange_delete(topic)
            for queue in (topic, *(f"{topic}.{consumer}" for consumer in CONSUMERS)):
                await channel.queue_delete(queue)
                await channel.queue_delete(f"{queue}.dead")

    asyncio.run(delete())


@contextmanager
def watching(url: str, topic: str) -> Generator[list[Published]]:
    """Collect everything that is published, repetitions too."""
    seen: list[Published] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def note(raw: DeliveredMessage) -> None:
        seen.append(Published.of(raw))

    async def watch() -> None:
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            await channel.exchange_declare(topic, exchange_type="topic", durable=True)
            queue = (await channel.queue_declare(exclusive=True)).queue or ""
            await channel.queue_bind(queue, topic, "#")
            await channel.basic_consume(queue, note, no_ack=True)
            ready.set()
            await stop.wait()

    watcher = threading.Thread(target=loop.run_until_complete, args=(watch(),))
    watcher.start()
    assert ready.wait(10)
    try:
        yield seen
    finally:
        loop.call_soon_threadsafe(stop.set)
        watcher.join()
        loop.close()
