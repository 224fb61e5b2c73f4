"""What JetStream adds to what every broker does."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import nats

from app.chassis.outbox.adapter import connected
from app.chassis.outbox.broker import Message
from app.chassis.outbox.broker_settings import BrokerSettings


async def test_the_stream_has_an_event_once_under_its_type(broker_url: str, topic: str) -> None:
    settings = BrokerSettings.model_validate({"url": broker_url, "topic": topic})
    message = Message("1", "thing.happened", "a", {"ce-id": "1"}, b"{}")
    async with connected(settings, "test") as broker:
        await broker.ready()
        for _ in range(2):
            await broker.publish(message)
    async with await nats.connect(broker_url) as client:
        stream = client.jetstream()
        assert (await stream.stream_info(topic)).state.messages == 1
        assert (await stream.get_msg(topic, seq=1)).subject == f"{topic}.thing.happened"
