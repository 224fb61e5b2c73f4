"""Brokers for tests: the one behind `BROKER_URL`, else an embedded one; and what is on it."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import asyncio
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import nats
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from app.dev.broker import start_broker, temporary_broker
from app.dev.servers import free_port

__all__ = ["Published", "broker", "delete_topic", "publish", "restartable", "stored", "watching"]


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
    def of(cls, headers: Mapping[str, str] | None, body: bytes | None) -> "Published":
        """Read what NATS has; its own id of the message repeats the event's."""
        known = {name.lower(): value for name, value in (headers or {}).items()}
        assert known.pop("nats-msg-id", known["ce-id"]) == known["ce-id"]
        return cls(unquote(known["ce-partitionkey"]), known, body or b"")


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

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self.url = f"nats://127.0.0.1:{self._port}"

    @contextmanager
    def up(self) -> Generator[None]:
        """Run it for the length of the block."""
        with start_broker(self._directory, self._port):
            yield


def restartable(directory: Path) -> RestartableBroker:
    """Prepare a broker of the test's own."""
    return RestartableBroker(directory)


def stored(url: str, topic: str) -> list[Published]:
    """Return what the broker has stored, in order."""

    async def read() -> list[Published]:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            last = (await stream.stream_info(topic)).state.last_seq
            raw = [await stream.get_msg(topic, seq=i) for i in range(1, last + 1)]
        return [Published.of(message.headers, message.data) for message in raw]

    return asyncio.run(read())


def publish(url: str, topic: str, type_: str, headers: Mapping[str, str], body: bytes) -> None:
    """Publish a message, as another service might."""

    async def send() -> None:
        async with await nats.connect(url) as client:
            await client.jetstream().publish(f"{topic}.{type_}", body, headers=dict(headers))

    asyncio.run(send())


def delete_topic(url: str, topic: str) -> None:
    """Remove what a test has left."""

    async def delete() -> None:
        async with await nats.connect(url) as client:
            with suppress(NotFoundError):
                await client.jetstream().delete_stream(topic)

    asyncio.run(delete())


@contextmanager
def watching(url: str, topic: str) -> Generator[list[Published]]:
    """Collect everything that is published, repetitions that the broker would drop too."""
    seen: list[Published] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def note(message: Msg) -> None:
        seen.append(Published.of(message.headers, message.data))

    async def watch() -> None:
        async with await nats.connect(url) as client:
            await client.subscribe(f"{topic}.>", cb=note)
            await client.flush()
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
