"""What a reader has not settled is soon another's."""

import asyncio

import pytest

from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import Message, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings

pytestmark = pytest.mark.anyio

TYPE = "thing.happened"


async def fetched(subscription: Subscription) -> list[str]:
    """The ids of what comes first; long before a lease at the broker would end."""
    async with asyncio.timeout(20):
        while not (deliveries := await subscription.fetch(10)):
            pass
    for delivery in deliveries:
        await delivery.done()
    return [delivery.message.id for delivery in deliveries]


async def test_a_reader_that_leaves_takes_nothing_with_it(broker_url: str, topic: str) -> None:
    settings = BrokerSettings.model_validate({"url": broker_url, "topic": topic})
    headers = {"ce-id": "1", "ce-type": TYPE, "content-type": "application/json"}
    async with connected(settings, "test") as broker:
        await broker.ready()
        leaving = await broker.subscribe("recorder", topic, [TYPE])
        assert await leaving.fetch(10) == []
        await leaving.close()
        await broker.publish(Message("1", TYPE, "a", headers, b"{}"))
        staying = await broker.subscribe("recorder", topic, [TYPE])
        assert await fetched(staying) == ["1"]
        await staying.close()
