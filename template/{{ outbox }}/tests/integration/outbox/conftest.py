"""A database and a topic of the outbox tests' own, and the relay as a process."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from uuid import uuid4

import psycopg
import pytest

from tests.kit.brokers import delete_topic
from tests.kit.faults import proxied
from tests.kit.outages import IMPATIENT, Effects, Rig, effects_of, recording
from tests.kit.outbox import Sql
from tests.kit.processes import ServiceProcess, run_process
from tests.kit.servers import migrated_database

StartRelay = Callable[..., AbstractContextManager[ServiceProcess]]

QUICK = {
    "OUTBOX_POLL_INTERVAL": "0.2",
    "OUTBOX_PUBLISH_TIMEOUT": "1",
    "OUTBOX_LEASE": "3",
    "OUTBOX_BACKOFF": "0.05",
    "OUTBOX_MAX_ATTEMPTS": "2",
}


@pytest.fixture(scope="session")
def outbox_database_url(postgres_url: str) -> Generator[str]:
    """A migrated database that no other process writes to."""
    with migrated_database(postgres_url) as url:
        yield url


@pytest.fixture
def sql(outbox_database_url: str) -> Generator[Sql]:
    """A connection to that database, with the pattern's tables empty."""
    with psycopg.connect(outbox_database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE outbox, inbox, inbox_failures")
        yield connection


@pytest.fixture
def topic(broker_url: str) -> Generator[str]:
    """A topic that is gone afterwards."""
    name = f"test-{uuid4().hex}"
    yield name
    delete_topic(broker_url, name)


@pytest.fixture
def outbox_environment(outbox_database_url: str, broker_url: str, topic: str) -> dict[str, str]:
    """The environment of a relay or a worker that does not take its time."""
    return {
        "DATABASE_URL": outbox_database_url,
        "BROKER_URL": broker_url,
        "BROKER_TOPIC": topic,
        **QUICK,
    }


@pytest.fixture
def start_relay(outbox_environment: dict[str, str]) -> StartRelay:
    """Start a relay, with other settings: `with start_relay(OUTBOX_…="…") as relay`."""

    def start(**settings: str) -> AbstractContextManager[ServiceProcess]:
        return run_process("relay", {**outbox_environment, **settings})

    return start


@pytest.fixture
def start_recorder(outbox_environment: dict[str, str]) -> StartRelay:
    """Start a worker that writes down the events it handles."""

    def start(**settings: str) -> AbstractContextManager[ServiceProcess]:
        return recording({**outbox_environment, **settings})

    return start


@pytest.fixture
def effects(sql: Sql) -> Generator[Effects]:
    """What the worker has written down."""
    with effects_of(sql) as effects:
        yield effects


@pytest.fixture
def rig(
    effects: Effects,  # noqa: ARG001 - the table has to be there
    outbox_environment: dict[str, str],
    start_relay: StartRelay,
    start_recorder: StartRelay,
) -> Generator[Rig]:
    """A relay and a worker, each behind proxies."""
    with (
        proxied(outbox_environment["BROKER_URL"]) as broker,
        proxied(outbox_environment["DATABASE_URL"]) as database,
    ):
        urls = {"BROKER_URL": broker.url, "DATABASE_URL": database.url}
        with start_recorder(**urls) as recorder, start_relay(**IMPATIENT, **urls) as relay:
            yield Rig(broker, database, relay, recorder)
            assert relay.terminate() == recorder.terminate() == 0
