"""`worker`: brings the broker's messages to the consumers of this service, through the inbox."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import groupby

import structlog

from app.chassis.database import Database
from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import (
    Broker,
    BrokerUnavailable,
    Delivery,
    Message,
    Refused,
    Subscription,
)
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.consumers import Consumer, Consumers
from app.chassis.outbox.inbox import Inbox, InWork
from app.chassis.outbox.process import Outage, Stop, is_wanted_to_end, run_until_stopped
from app.chassis.outbox.settings import HeartbeatSettings, InboxSettings
from app.chassis.service import Service

RECONNECT_SECONDS = 1.0

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def run(service: Service) -> None:
    """Consume until SIGTERM, which lets the handlers finish and gives back what has not begun."""
    broker_settings, settings = service.get(BrokerSettings), service.get(InboxSettings)
    consumers, database = service.get(Consumers), service.get(Database)
    name = f"{service.core.service_name}-worker"

    async def main(stop: Stop) -> None:
        inbox = Inbox(database, settings, consumers)
        async with service.running(), connected(broker_settings, name) as broker:
            await Worker(inbox, broker, database, settings).run(consumers.all(), stop)

    run_until_stopped("worker", main, service.get(HeartbeatSettings))


class Worker:
    """Runs the consumers side by side, with what they failed at and the inbox's housekeeping."""

    def __init__(
        self, inbox: Inbox, broker: Broker, database: Database, settings: InboxSettings
    ) -> None:
        self._inbox = inbox
        self._broker = broker
        self._database = database
        self._settings = settings
        self._free = asyncio.Semaphore(settings.concurrency)
        self._subscribing = Outage("subscription")
        self._keeping = Outage("inbox")

    async def run(self, consumers: list[Consumer], stop: Stop) -> None:
        """Work until asked to stop; returns with nothing in flight."""
        log.info("consuming", consumers=[consumer.name for consumer in consumers])
        async with asyncio.TaskGroup() as tasks:
            inbox, settings = self._inbox, self._settings
            tasks.create_task(self._repeatedly(inbox.retry_next, settings.poll_interval, stop))
            tasks.create_task(self._repeatedly(inbox.purge, settings.purge_interval, stop))
            for consumer in consumers:
                tasks.create_task(self._consume(consumer, stop))

    async def _consume(self, consumer: Consumer, stop: Stop) -> None:
        while not stop:
            await stop.or_done(self._broker.ready())
            try:
                subscribing = self._broker.subscribe(
                    consumer.name, consumer.topic, consumer.handlers.keys()
                )
                subscription = await stop.or_done(subscribing)
                if subscription is None:
                    return
                self._subscribing.over()
                log.info("subscribed", consumer=consumer.name)
                await self._read(consumer, subscription, stop)
            except (BrokerUnavailable, Refused, asyncio.CancelledError) as error:
                if is_wanted_to_end():
                    raise
                self._subscribing.begun(error)
                await stop.sleep(RECONNECT_SECONDS)

    async def _read(self, consumer: Consumer, subscription: Subscription, stop: Stop) -> None:
        try:
            while not stop:
                fetched = await stop.or_done(subscription.fetch(self._settings.batch_size))
                if not await self._handle_all(consumer, fetched or [], stop):
                    await self._wait_for_database(stop)
        finally:
            await subscription.close()

    async def _handle_all(self, consumer: Consumer, deliveries: list[Delivery], stop: Stop) -> bool:
        """Handle each key's messages one after the other; false if some had to be given back."""
        ordered = sorted(deliveries, key=_key)
        async with asyncio.TaskGroup() as chains:
            tasks = [
                chains.create_task(self._handle_chain(consumer, list(chain), stop))
                for _, chain in groupby(ordered, _key)
            ]
        return all(task.result() for task in tasks)

    async def _handle_chain(self, consumer: Consumer, chain: list[Delivery], stop: Stop) -> bool:
        for done, delivery in enumerate(chain):
            async with self._free:
                handled = not stop and await self._receive(consumer, delivery.message)
            if not handled:
                # All at once: a broker that hangs must not be waited for again and again.
                await asyncio.gather(*(one.give_back(RECONNECT_SECONDS) for one in chain[done:]))
                return bool(stop)
            await delivery.done()
        return True

    async def _receive(self, consumer: Consumer, message: Message) -> bool:
        try:
            await self._inbox.receive(consumer, message)
        except InWork:
            return False
        except Exception as error:  # noqa: BLE001 - not even its failure could be kept
            self._keeping.begun(error)
            return False
        self._keeping.over()
        return True

    async def _wait_for_database(self, stop: Stop) -> None:
        while not stop:
            await stop.sleep(RECONNECT_SECONDS)
            try:
                await self._database.ping()
            except Exception:  # noqa: BLE001, S112 - whatever it is, it cannot be used yet
                continue
            return

    async def _repeatedly(
        self, work: Callable[[], Awaitable[int]], pause: timedelta, stop: Stop
    ) -> None:
        """Do housekeeping until there is nothing to do, and look again after a pause."""
        outage = Outage("housekeeping")
        while not stop:
            try:
                done = await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the consumers go on
                outage.begun(error)
                await self._wait_for_database(stop)
                continue
            outage.over()
            if not done:
                await stop.sleep(pause.total_seconds())


def _key(delivery: Delivery) -> str:
    return delivery.message.key
