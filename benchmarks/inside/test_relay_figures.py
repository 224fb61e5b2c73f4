"""Put among the tests of a rendered service: measures its relay with the servers of its tests.

Writes the figures to `BENCHMARK_STATE`.
"""

import asyncio
import json
import os
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from app.chassis.identifiers import new_id
from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import Message
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.cloudevents import headers_of
from tests.kit.brokers import delete_topic
from tests.kit.processes import run_process
from uvicorn.loops.auto import auto_loop_factory

Connection = psycopg.Connection[tuple[object, ...]]

EVENTS = 60_000
LANES = 100
IDLE_EVENTS = 100
PATIENCE_SECONDS = 120
PAYLOAD = json.dumps({"items": [{"sku": f"ABC-{i}", "unit_price": "9.99"} for i in range(10)]})
INSERT = """
INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
SELECT id, 'order', gen_random_uuid()::text, 'order.created', %s::jsonb
FROM unnest(%s::uuid[]) AS id
"""


@pytest.fixture
def variables(environment: dict[str, str], broker_url: str) -> Generator[dict[str, str]]:
    topic = f"benchmark{uuid4().hex[:12]}"
    yield {**environment, "BROKER_URL": broker_url, "BROKER_TOPIC": topic}
    delete_topic(broker_url, topic)


def test_relay_figures(
    variables: dict[str, str], sql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        broker = runner.run(_confirmed_rate())
    latencies = _idle_latencies(variables, sql)
    figures = {
        "broker": broker,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[-1 - len(latencies) // 100],
        "one": _rate(variables, sql, relays=1),
        "two": _rate(variables, sql, relays=2),
    }
    Path(os.environ["BENCHMARK_STATE"]).write_text(json.dumps(figures))


def _insert(sql: Connection, events: int) -> None:
    """Add events under identifiers of the service's own making."""
    sql.execute(INSERT, (PAYLOAD, [new_id() for _ in range(events)]))


def _message() -> Message:
    """A message as the relay would publish it."""
    key = str(uuid4())
    headers = headers_of(
        id_=key,
        type_="order.created",
        source="/benchmark",
        subject=key,
        time="2026-01-31T12:00:00.123456Z",
        trace={},
    )
    return Message(key, "order.created", key, headers, PAYLOAD.encode())


async def _confirmed_rate() -> float:
    """Publish what is ready as fast as the broker confirms, without a database."""
    messages = iter([_message() for _ in range(EVENTS)])
    async with connected(BrokerSettings(), "benchmark") as broker:
        await broker.ready()

        async def publish() -> None:
            for message in messages:
                await broker.publish(message)

        await broker.publish(_message())  # the first may wait for the topic
        started = time.monotonic()
        await asyncio.gather(*(publish() for _ in range(LANES)))
        return EVENTS / (time.monotonic() - started)


def _idle_latencies(variables: dict[str, str], sql: Connection) -> list[float]:
    """Milliseconds from an event's transaction to its confirmation by the broker."""
    with run_process("relay", variables):
        _insert(sql, 1)
        _wait_until_published(sql)
        sql.execute("TRUNCATE outbox")
        for _ in range(IDLE_EVENTS):
            _insert(sql, 1)
            time.sleep(0.05)
        _wait_until_published(sql)
    query = "SELECT extract(epoch FROM published_at - created)::float8 FROM outbox"
    return sorted(float(str(seconds)) * 1000 for (seconds,) in sql.execute(query))


def _rate(variables: dict[str, str], sql: Connection, relays: int) -> float:
    """Events per second from the first confirmed batch to the last."""
    sql.execute("TRUNCATE outbox")
    with ExitStack() as stack:
        for _ in range(relays):
            stack.enter_context(run_process("relay", variables))
        time.sleep(5)
        _insert(sql, EVENTS)
        _wait_until_published(sql)
    query = """
        SELECT count(*) FILTER (WHERE published_at > first)
            / extract(epoch FROM max(published_at) - first)
        FROM outbox, (SELECT min(published_at) AS first FROM outbox) AS batches GROUP BY first
    """
    (rate,) = sql.execute(query).fetchone() or (0,)
    return float(str(rate))


def _wait_until_published(sql: Connection) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sql.execute("SELECT 1 FROM outbox WHERE status <> 'published' LIMIT 1").fetchone():
        assert time.monotonic() < deadline, "the relay did not publish everything"
        time.sleep(0.05)
