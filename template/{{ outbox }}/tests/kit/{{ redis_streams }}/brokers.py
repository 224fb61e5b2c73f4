"""Brokers for tests: the one behind `BROKER_URL`, else an embedded one; and what is on it."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from redis import Redis

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
    def of(cls, fields: Mapping[bytes, bytes]) -> "Published":
        """Read what the stream has."""
        headers = {name.decode(): value.decode() for name, value in fields.items()}
        body = headers.pop("data")
        return cls(unquote(headers["ce-partitionkey"]), headers, body.encode())


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
        self.url = f"redis://127.0.0.1:{self._port}/0"

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
    with Redis.from_url(url) as client:
        entries: Any = client.xrange(topic)
    return [Published.of(fields) for _, fields in entries]


def publish(url: str, topic: str, type_: str, headers: Mapping[str, str], body: bytes) -> None:
    """Publish a message, as another service might."""
    with Redis.from_url(url) as client:
        client.xadd(topic, {"ce-type": type_, **headers, "data": body})


def delete_topic(url: str, topic: str) -> None:
    """Remove what a test has left."""
    with Redis.from_url(url) as client:
        client.delete(topic)


@contextmanager
def watching(url: str, topic: str) -> Generator[list[Published]]:
    """Collect everything that is published from now on."""
    seen: list[Published] = []
    stop = threading.Event()
    with Redis.from_url(url) as client:
        latest: Any = client.xrevrange(topic, count=1)
        position: bytes = latest[0][0] if latest else b"0-0"

        def watch() -> None:
            nonlocal position
            while not stop.is_set():
                arrived: Any = client.xread({topic: position}, block=50)
                for _, entries in arrived:
                    seen.extend(Published.of(fields) for _, fields in entries)
                    position = entries[-1][0]

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield seen
        finally:
            stop.set()
            watcher.join()
