"""NATS JetStream behind the port: a stream for the topic, a durable consumer for each reader."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
import json
import math
import random
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import chain

import nats
import structlog
from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import (
    APIError,
    BadRequestError,
    NoStreamResponseError,
    NotFoundError,
    ServerError,
)

from app.chassis.outbox.broker import BrokerUnavailable, Message, Refused, Subscription
from app.chassis.outbox.broker_settings import BrokerSettings
from app.chassis.outbox.process import Outage
from app.chassis.outbox.pull import FAILURES, PullSubscription

RECONNECT_SECONDS = 0.25
LOOK_SECONDS = 0.25
PING_SECONDS = 2
ANSWER_SECONDS = 5
CLOSE_SECONDS = 1
DUPLICATE_WINDOW_SECONDS = 120
# The relay does not wait as long for a confirmation.
PUBLISH_SECONDS = 3600
MESSAGE_ID = "Nats-Msg-Id"
# So often are a consumer's subjects written, and looked at again after this time or up to twice
# as much: the server has no "write unless changed", and another release may write its own
# over them, knowing only what it read before.
WRITES = 5
SETTLE_SECONDS = 1.0

CONSUMER_EXISTS = 10148
# Bad requests that say nothing about the message: the account is full, the stream is sealed.
_NOT_THE_MESSAGE = (10002, 10109)
# The first line, the empty one at the end, and what is around each name and value.
_HEADERS_FRAME, _HEADER_FRAME = len("NATS/1.0\r\n\r\n"), len(": \r\n")

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def connected(settings: BrokerSettings, name: str) -> "AsyncGenerator[NatsBroker]":
    """Keep a connection to the broker while the block runs; it need not be there yet."""
    broker = NatsBroker(settings, name)
    try:
        yield broker
    finally:
        await broker.close()


class NatsBroker:
    """Holds one connection, and makes a new one whenever it is lost.

    It does not use the client's own reconnecting: that would keep what is published meanwhile,
    and the relay must know that it was not confirmed.
    """

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self.settings = settings
        self._servers = settings.servers
        self._name = name
        self._up = asyncio.Event()
        self._stream_is_gone = False
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._keeper = asyncio.create_task(self._keep_connected())

    async def ready(self) -> None:
        """Wait until there is a connection, and the topic's stream on it."""
        await self._up.wait()

    @property
    def _connection(self) -> Client:
        if self._client is None:
            raise BrokerUnavailable("not connected")
        return self._client

    @property
    def stream(self) -> JetStreamContext:
        """The connection's JetStream.

        Raises:
            BrokerUnavailable: there is none at the moment.
        """
        if self._stream is None:
            raise BrokerUnavailable("not connected")
        return self._stream

    async def publish(self, message: Message) -> None:
        """Publish and wait for the stream's acknowledgement; the stream drops repeated ids."""
        subject = f"{self.settings.topic}.{message.type}"
        headers = {**message.headers, MESSAGE_ID: message.id}
        # The client counts the body alone, and the server ends the connection for what is over.
        size, most = len(message.body) + _size_of(headers), self._connection.max_payload
        if size > most:
            raise Refused(f"the message has {size} bytes, more than the server's {most}")
        try:
            await self.stream.publish(subject, message.body, PUBLISH_SECONDS, headers=headers)
        except NoStreamResponseError as error:
            self._stream_is_gone = True
            raise BrokerUnavailable("there is no stream that keeps it") from error
        except BadRequestError as error:
            if error.err_code in _NOT_THE_MESSAGE:
                raise BrokerUnavailable(str(error)) from error
            raise Refused(str(error)) from error
        except (errors.BadSubjectError, errors.BadHeaderError, ValueError) as error:
            raise Refused(str(error)) from error
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        """Make the durable consumer, or have it get more types."""
        try:
            if topic == self.settings.topic:
                await self._ensure_stream(self.stream)
            handled = {f"{topic}.{type_}" for type_ in types}
            for _ in range(WRITES):
                if not await self._change_consumer(consumer, topic, handled):
                    break
        except (BadRequestError, ServerError) as error:
            raise Refused(str(error)) from error
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        """Start to read from the durable consumer."""
        await self.reserve(consumer, topic, types)
        try:
            return await PullSubscription.open(self._connection, topic, consumer)
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error

    async def close(self) -> None:
        """Leave the broker, with what is in flight sent."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._disconnect()

    async def _keep_connected(self) -> None:
        outage = Outage("broker")
        while True:
            closed = asyncio.Event()
            try:
                client = await self._connect(closed)
                outage.over()
                await self._until_closed(client, closed)
                raise errors.ConnectionClosedError  # noqa: TRY301 - an outage as any other
            except Exception as error:  # noqa: BLE001 - whatever it is, connect again
                outage.begun(error)
            await self._disconnect()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self, closed: asyncio.Event) -> Client:
        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            log.debug("broker_error", error=type(error).__name__)

        self._client = client = await nats.connect(
            self._servers,
            name=self._name,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # for the first connection it would try on all the same
            reconnect_time_wait=0,
            connect_timeout=max(1, round(self.settings.connect_timeout.total_seconds())),
            ping_interval=PING_SECONDS,
            pending_size=0,  # more than that it would wait with, and not be cancelled
            closed_cb=on_closed,
            error_cb=on_error,
        )
        stream = client.jetstream(timeout=ANSWER_SECONDS)
        await self._ensure_stream(stream)
        self._stream = stream
        self._up.set()
        return client

    async def _disconnect(self) -> None:
        self._up.clear()
        client, self._client, self._stream = self._client, None, None
        if client is not None and not client.is_closed:
            with suppress(*FAILURES):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()

    async def _until_closed(self, client: Client, closed: asyncio.Event) -> None:
        """Wait for the end of a connection, and make a stream again that was deleted meanwhile.

        The client does not always tell: when its last words cannot be sent, it is just closed.
        """
        while not client.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await closed.wait()
            if self._stream_is_gone:
                self._stream_is_gone = False
                await self._ensure_stream(self.stream)

    async def _change_consumer(self, consumer: str, topic: str, handled: set[str]) -> bool:
        """Have the consumer get what it does not; false if there was nothing to change.

        What it gets already may be for another release of the service, and stays.
        """
        ack_wait = self.settings.ack_wait.total_seconds()
        try:
            config = (await self.stream.consumer_info(topic, consumer)).config
        except NotFoundError:
            config = api.ConsumerConfig(
                durable_name=consumer,
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=ack_wait,
                filter_subjects=sorted(handled),
            )
            await self._create_consumer(topic, config)
            return True
        had = [one for one in (config.filter_subject, *(config.filter_subjects or ())) if one]
        # Without any filter it gets everything.
        missing = {one for one in handled if had and not any(_matches(one, by) for by in had)}
        # The client counts in nanoseconds, and rounds.
        if not missing and math.isclose(config.ack_wait or 0, ack_wait, abs_tol=1e-6):
            return False
        subjects = sorted({*had, *missing})
        changed = config.evolve(
            ack_wait=ack_wait, filter_subject=None, filter_subjects=subjects or None
        )
        await self.stream.add_consumer(topic, changed)
        await asyncio.sleep(random.uniform(SETTLE_SECONDS, 2 * SETTLE_SECONDS))  # noqa: S311
        return True

    async def _create_consumer(self, topic: str, config: api.ConsumerConfig) -> None:
        """Make it unless there is one by now, over which the client's own request would write."""
        request = {"stream_name": topic, "config": config.as_dict(), "action": "create"}
        subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{topic}.{config.durable_name}"
        data = json.dumps(request).encode()
        answer = await self._connection.request(subject, data, timeout=ANSWER_SECONDS)
        error = json.loads(answer.data).get("error")
        if error and error["err_code"] != CONSUMER_EXISTS:
            raise APIError.from_error(error)

    async def _ensure_stream(self, stream: JetStreamContext) -> None:
        """Make the topic's stream if nobody has; how it is replicated is its owner's decision."""
        topic, retention = self.settings.topic, self.settings.retention.total_seconds()
        try:
            await stream.stream_info(topic)
        except NotFoundError:
            await stream.add_stream(
                name=topic,
                subjects=[f"{topic}.>"],
                max_age=retention,
                duplicate_window=min(DUPLICATE_WINDOW_SECONDS, retention),
            )
            log.info("stream_created", topic=topic)


def _matches(subject: str, pattern: str) -> bool:
    """Whether a pattern with `*` for a word, and `>` for all that follow, takes in a subject."""
    words, parts = subject.split("."), pattern.split(".")
    if parts[-1] == ">" and len(words) >= len(parts):
        words, parts = words[: len(parts) - 1], parts[:-1]
    same_length = len(words) == len(parts)
    return same_length and all(part in ("*", word) for word, part in zip(words, parts, strict=True))


def _size_of(headers: Mapping[str, str]) -> int:
    """Return how many bytes headers take on the wire."""
    text = "".join(chain.from_iterable(headers.items()))
    return _HEADERS_FRAME + _HEADER_FRAME * len(headers) + len(text.encode())
