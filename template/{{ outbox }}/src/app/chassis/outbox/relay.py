"""`relay`: takes events from the outbox to the broker, in order for each aggregate.

At least once: a row is marked published only after the broker has confirmed it, so a crash in
between publishes it again under the same id.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import psycopg
import structlog
from pydantic_core import from_json

from app.chassis.database import DatabaseSettings
from app.chassis.outbox import cloudevents
from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import Broker, BrokerUnavailable, Message, Refused
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.consumers import Consumer, Consumers
from app.chassis.outbox.process import Outage, Stop, run_until_stopped
from app.chassis.outbox.settings import HeartbeatSettings, OutboxSettings
from app.chassis.outbox.store import Batch, Refusal, Row, Store, connect
from app.chassis.service import Service

# While one batch is being published, the one before it is marked, the one behind it is ready, and
# the one behind that is claimed.
BATCHES_IN_FLIGHT = 4
RECONNECT_SECONDS = 0.5
CHANNEL = "outbox"
# How many aggregates are published side by side; more make no broker faster.
LANES = 100

NOTHING = Batch([], 0)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_AGGREGATE = attrgetter("aggregatetype", "aggregateid")


def run(service: Service) -> None:
    """Relay until SIGTERM, which lets what is in flight finish and gives the rest back."""
    name = f"{service.core.service_name}-relay"
    settings, database = service.get(OutboxSettings), service.get(DatabaseSettings)
    broker_settings, consumers = service.get(BrokerSettings), service.get(Consumers)

    async def main(stop: Stop) -> None:
        store = Store(database, settings, name)
        async with connected(broker_settings, name) as broker:
            relay = Relay(store, broker, settings, cloudevents.source_of(service.core.service_name))
            async with relay.woken_by(database, name), relay.purging():
                await relay.reserve(consumers.of(broker_settings.topic), stop)
                await relay.run(stop)
        await store.close()

    run_until_stopped("relay", main, service.get(HeartbeatSettings))


@dataclass
class Outcome:
    """What became of a batch; what is in neither list got no answer, or was not begun."""

    published: list[Row] = field(default_factory=list[Row])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    broker_failed: bool = False

    def undecided(self, rows: list[Row]) -> list[Row]:
        """Return those of `rows` that the broker has not answered for."""
        decided = {row.id for row in self.published} | {item.row.id for item in self.refused}
        return [row for row in rows if row.id not in decided]


class Relay:
    """Claims batches, publishes them, and settles them once the broker has answered."""

    def __init__(self, store: Store, broker: Broker, settings: OutboxSettings, source: str) -> None:
        self._store = store
        self._broker = broker
        self._settings = settings
        self._source = source
        self._woken = asyncio.Event()
        self._publisher = asyncio.Lock()
        self._database = Outage("database")
        self._publishing = Outage("publishing")

    async def reserve(self, consumers: list[Consumer], stop: Stop) -> None:
        """Make the places of the service's own consumers, so that no event precedes them.

        One that the broker does not make is its worker's concern: the others get their events.
        """
        for consumer in consumers:
            while not stop:
                await stop.or_done(self._broker.ready())
                try:
                    reserving = self._broker.reserve(
                        consumer.name, consumer.topic, consumer.handlers
                    )
                    await stop.or_done(reserving)
                    break
                except BrokerUnavailable as error:
                    self._publishing.begun(error)
                    await stop.sleep(RECONNECT_SECONDS)
                except Refused as error:
                    log.error("consumer_refused", consumer=consumer.name, reason=str(error))  # noqa: TRY400
                    break

    async def run(self, stop: Stop) -> None:
        """Deliver batch after batch; returns with nothing in flight."""
        free = asyncio.Semaphore(BATCHES_IN_FLIGHT)
        async with asyncio.TaskGroup() as deliveries:
            while not stop:
                await stop.or_done(self._broker.ready())
                await free.acquire()
                batch = NOTHING if stop else await self._claim()
                if batch.rows:
                    delivery = deliveries.create_task(self._deliver(batch, stop))
                    delivery.add_done_callback(lambda _: free.release())
                else:
                    free.release()
                if len(batch.rows) < self._settings.batch_size:
                    await stop.or_done(self._wait_for_more())

    async def _wait_for_more(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.poll_interval.total_seconds()):
                await self._woken.wait()

    async def _claim(self) -> Batch:
        self._woken.clear()
        try:
            batch = await self._store.claim()
        except psycopg.Error as error:
            self._database.begun(error)
            asyncio.get_running_loop().call_later(RECONNECT_SECONDS, self._woken.set)
            return NOTHING
        self._database.over()
        return batch

    async def _deliver(self, batch: Batch, stop: Stop) -> None:
        async with self._publisher:
            outcome = await self._publish_all(batch, stop)
        await self._settle(batch.rows, outcome, stop)
        if outcome.broker_failed:
            await stop.sleep(RECONNECT_SECONDS)
        # Rows that came in behind these could not be claimed until now.
        self._woken.set()

    async def _publish_all(self, batch: Batch, stop: Stop) -> Outcome:
        """Publish each aggregate's rows one after the other, the aggregates side by side."""
        timeout = self._settings.publish_timeout.total_seconds()
        now = time.monotonic()
        # What begins last has its time before another relay may take the batch over.
        deadline = min(now, batch.deadline - 2 * timeout) + timeout
        ordered = sorted(batch.rows, key=_AGGREGATE)
        chains = [list(chain) for _, chain in groupby(ordered, _AGGREGATE)]
        outcome, waiting = Outcome(), iter(chains)

        async def publish_chains() -> None:
            for chain in waiting:
                await self._publish(chain, outcome, deadline, stop)

        lanes = [asyncio.create_task(publish_chains()) for _ in chains[:LANES]]
        # No lane begins anything after the deadline, so what is left then has no answer.
        _, unanswered = await asyncio.wait(lanes, timeout=max(0, deadline - now) + timeout)
        for lane in unanswered:
            outcome.broker_failed = True
            self._publishing.begun(BrokerUnavailable("no confirmation in time"))
            lane.cancel()
        # A client may take its time with being cancelled, or not mind it at all.
        await asyncio.wait(lanes, timeout=timeout)
        return outcome

    async def _publish(
        self, chain: list[Row], outcome: Outcome, deadline: float, stop: Stop
    ) -> None:
        """Publish until the first that fails: what stands behind it has to wait.

        Nothing is begun after the deadline, or once the process is to stop.
        """
        for row in chain:
            if stop or time.monotonic() > deadline:
                return
            try:
                await self._broker.publish(self._message(row))
            except Refused as error:
                outcome.refused.append(Refusal(row, str(error)))
                return
            except BrokerUnavailable as error:
                outcome.broker_failed = True
                self._publishing.begun(error)
                return
            outcome.published.append(row)

    async def _settle(self, rows: list[Row], outcome: Outcome, stop: Stop) -> None:
        """Write down what became of a batch, as soon as the database can be reached."""
        if outcome.published and not outcome.broker_failed:
            self._publishing.over()
        while True:
            try:
                await self._write(rows, outcome)
            except psycopg.Error as error:
                self._database.begun(error)
            else:
                return
            if stop:
                return
            await stop.sleep(RECONNECT_SECONDS)

    async def _write(self, rows: list[Row], outcome: Outcome) -> None:
        """An outage of the broker is not counted: it must not use up an event's attempts."""
        if outcome.published:
            await self._store.mark_published(outcome.published)
        for refusal in outcome.refused:
            await self._store.mark_refused(refusal)
        if undecided := outcome.undecided(rows):
            delay = self._settings.poll_interval if outcome.broker_failed else timedelta(0)
            await self._store.release(undecided, delay)

    def _message(self, row: Row) -> Message:
        body = row.payload.encode()
        if len(body) > self._settings.max_event_bytes:
            raise Refused(f"the payload has {len(body)} bytes, more than OUTBOX_MAX_EVENT_BYTES")
        if not cloudevents.is_address(row.type):
            raise Refused("the event's type is not words joined by dots")
        try:
            headers = cloudevents.headers_of(
                id_=row.id,
                type_=row.type,
                source=self._source,
                subject=row.aggregateid,
                time=cloudevents.time_of(row.created),
                trace=from_json(row.trace),
            )
        except Exception as error:
            # Whoever fills the table by hand may have made it impossible.
            raise Refused(f"it is no event: {type(error).__name__}: {error}") from error
        return Message(row.id, row.type, row.aggregateid, headers, body)

    @asynccontextmanager
    async def woken_by(self, database: DatabaseSettings, name: str) -> AsyncGenerator[None]:
        """Look at once when a transaction with events commits, and do not wait for the poll."""
        # A connection on which nothing comes may be dead.
        probe_seconds = database.patience.total_seconds() / 2

        async def listen() -> None:
            while True:
                with suppress(psycopg.Error):
                    async with await connect(database, f"{name}-listener") as connection:
                        await connection.execute(f"LISTEN {CHANNEL}")
                        self._woken.set()
                        while True:
                            async for _ in connection.notifies(timeout=probe_seconds):
                                self._woken.set()
                            await connection.execute("SELECT 1")
                await asyncio.sleep(RECONNECT_SECONDS)

        async with _background(asyncio.create_task(listen())):
            yield

    @asynccontextmanager
    async def purging(self) -> AsyncGenerator[None]:
        """Delete published rows after their retention, a batch at a time."""

        async def purge() -> None:
            while True:
                purged = 0
                with suppress(psycopg.Error):
                    purged = await self._store.purge()
                await asyncio.sleep(0 if purged else self._settings.purge_interval.total_seconds())

        async with _background(asyncio.create_task(purge())):
            yield


@asynccontextmanager
async def _background(task: asyncio.Task[None]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
