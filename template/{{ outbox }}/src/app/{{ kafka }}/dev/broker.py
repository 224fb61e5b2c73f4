"""A Kafka broker for development and tests, in this process and in memory only.

The client library brings it, for tests of its own; it speaks the protocol over TCP. What it has
stored is gone when it ends.
"""

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import cimpl

BROKERS = 1
BROKER_ID = 1
LOG_CRITICAL = b"2"


class EmbeddedBroker:
    """A broker on a free port, which stays its own while it is down."""

    def __init__(self) -> None:
        self.library = _library()
        options = ctypes.c_void_p(self.library.rd_kafka_conf_new())
        self.library.rd_kafka_conf_set(options, b"log_level", LOG_CRITICAL, None, 0)
        self._client = ctypes.c_void_p(self.library.rd_kafka_new(0, options, None, 0))
        self.cluster = ctypes.c_void_p(
            self.library.rd_kafka_mock_cluster_new(self._client, BROKERS)
        )
        self.library.rd_kafka_mock_set_controller_id(self.cluster, BROKER_ID)
        # Else it waits three seconds for more members whenever a group begins.
        self.library.rd_kafka_mock_group_initial_rebalance_delay_ms(self.cluster, 0)
        address: bytes = self.library.rd_kafka_mock_cluster_bootstraps(self.cluster)
        self.url = f"kafka://{address.decode()}"

    def go_down(self) -> None:
        """Close all connections and take no more."""
        self.library.rd_kafka_mock_broker_set_down(self.cluster, BROKER_ID)

    def come_up(self) -> None:
        """Take connections again."""
        self.library.rd_kafka_mock_broker_set_up(self.cluster, BROKER_ID)

    def end(self) -> None:
        """Forget everything."""
        self.library.rd_kafka_mock_cluster_destroy(self.cluster)
        self.library.rd_kafka_destroy(self._client)


@contextmanager
def start_broker(_directory: Path) -> Generator[str]:
    """Run a broker for the length of the block; yields its URL. It keeps nothing on disk."""
    with temporary_broker() as url:
        yield url


@contextmanager
def temporary_broker() -> Generator[str]:
    """Run a broker for the length of the block; yields its URL."""
    broker = EmbeddedBroker()
    try:
        yield broker.url
    finally:
        broker.end()


def _library() -> ctypes.CDLL:
    """The library behind the client, with the types of what it returns."""
    library = ctypes.CDLL(cimpl.__file__)
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library
