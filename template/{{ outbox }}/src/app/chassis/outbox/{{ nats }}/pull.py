"""Reading from a durable JetStream consumer: one standing request, messages as they come.

The client's own `fetch` waits for a full batch or its timeout, so it is either slow or small.
"""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
import json
import time
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message

WAIT_SECONDS = 1.0
REQUEST_SECONDS = 30
# Nobody answers a request to a consumer that is not there: then there is no heartbeat either.
HEARTBEAT_SECONDS = 2
SILENCE_SECONDS = 2 * HEARTBEAT_SECONDS + 1
CLOSE_SECONDS = 1
NANOSECONDS = 1_000_000_000
MESSAGE_ID = "nats-msg-id"
SETTLED_AT = "$JS.ACK."
HEARTBEAT, CONFLICT, NO_RESPONDERS = "100", "409", "503"

# When a connection is lost, the client passes on what its transport says, whatever that is:
# uvloop's word for one that is closed is RuntimeError.
FAILURES = (Exception,)


class PullSubscription:
    """A reader of a consumer on one connection; when that is gone, subscribe anew."""

    def __init__(self, client: Client, topic: str, consumer: str, inbox: str) -> None:
        self._client = client
        self._topic = topic
        self._requests = f"$JS.API.CONSUMER.MSG.NEXT.{topic}.{consumer}"
        self._inbox = inbox
        self._subscription: Subscription | None = None
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._expected = 0
        self._expires = 0.0
        self._heard = 0.0
        self._gone = False

    @classmethod
    async def open(cls, client: Client, topic: str, consumer: str) -> "PullSubscription":
        """Listen for what is going to be requested."""
        inbox = client.new_inbox()
        subscription = cls(client, topic, consumer, inbox)
        subscription._subscription = await client.subscribe(inbox, cb=subscription.on_message)
        return subscription

    async def on_message(self, message: Msg) -> None:
        """Take in a message, a sign of life, or the server's word that the request has ended."""
        self._heard = time.monotonic()
        # A message of the stream may have such a header, too; then there is where to settle it.
        is_of_stream = message.reply.startswith(SETTLED_AT)
        status = None if is_of_stream else (message.headers or {}).get("Status")
        if status is None:
            self._expected -= 1
            self._arrived.put_nowait(message)
        elif status != HEARTBEAT:
            self._expected = 0
            # A conflict is that the consumer has been deleted, or has a new leader.
            self._gone = status in (CONFLICT, NO_RESPONDERS)

    async def fetch(self, limit: int) -> list[Delivery]:
        """Wait a moment for the first message, and take those that came with it."""
        if self._gone or self._client.is_closed:
            raise BrokerUnavailable("the connection or the consumer is gone")
        now = time.monotonic()
        if self._expected <= 0 or now > self._expires:
            await self._request(limit)
        elif now > self._heard + SILENCE_SECONDS:
            raise BrokerUnavailable("the consumer is silent")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                fetched = [await self._arrived.get()]
        except TimeoutError:
            return []
        while len(fetched) < limit and not self._arrived.empty():
            fetched.append(self._arrived.get_nowait())
        return [_NatsDelivery(message, self._topic) for message in fetched]

    async def close(self) -> None:
        """End the request, and give back what has come in and was not fetched."""
        if self._subscription is not None:
            with suppress(*FAILURES):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._subscription.drain()
        while not self._arrived.empty():
            await _NatsDelivery(self._arrived.get_nowait(), self._topic).give_back(0)

    async def _request(self, limit: int) -> None:
        body = {
            "batch": limit,
            "expires": REQUEST_SECONDS * NANOSECONDS,
            "idle_heartbeat": HEARTBEAT_SECONDS * NANOSECONDS,
        }
        self._expected = limit
        self._heard = time.monotonic()
        self._expires = self._heard + REQUEST_SECONDS + WAIT_SECONDS
        try:
            await self._client.publish(self._requests, json.dumps(body).encode(), self._inbox)
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error


class _NatsDelivery:
    """A message that the stream waits to hear about."""

    def __init__(self, raw: Msg, topic: str) -> None:
        # No table takes a NUL, and a message must not fail where failures are kept.
        headers = {k.lower(): v.replace("\0", "") for k, v in (raw.headers or {}).items()}
        place = raw.metadata
        # A stream that is made anew counts from the start again.
        since = place.timestamp.timestamp()
        fallback = f"{place.stream}:{place.sequence.stream}:{since:.6f}"
        self._raw = raw
        self.message = Message(
            id=headers.get("ce-id") or headers.get(MESSAGE_ID) or fallback,
            type=headers.get("ce-type") or raw.subject.removeprefix(f"{topic}."),
            key=headers.get("ce-partitionkey", ""),
            headers=headers,
            body=raw.data,
        )

    async def done(self) -> None:
        with suppress(*FAILURES):
            await self._raw.ack()

    async def give_back(self, seconds: float) -> None:
        with suppress(*FAILURES):
            await self._raw.nak(delay=seconds)
