"""Reading from a consumer's queue: the broker sends ahead, but never more than the prefetch."""

import asyncio
import hashlib
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager

from aiormq.abc import AbstractBase, AbstractChannel, DeliveredMessage

from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message, Refused
from app.chassis.outbox.process import is_wanted_to_end
from app.chassis.outbox.topology import answer

WAIT_SECONDS = 1.0
SETTLE_SECONDS = 5
CLOSE_SECONDS = 1
PREFETCH = 100

# The client ends what waits for an answer with a cancellation, unless it is given another reason.
GIVEN_UP = ConnectionAbortedError


@contextmanager
def answering() -> Generator[None]:
    """Tell the port that the broker does not answer, whatever the client says.

    When a connection is lost, that is one of its errors, a bare Exception, or a cancellation.
    """
    try:
        yield
    except (BrokerUnavailable, Refused):
        raise
    except Exception as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:
        if is_wanted_to_end():
            raise
        raise BrokerUnavailable("what waited for an answer was cancelled") from error


async def leave(left: AbstractBase) -> None:
    """Close a connection or a channel; a server that is silent does not say good-bye either."""
    leaving = asyncio.ensure_future(left.close(GIVEN_UP))
    leaving.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    await asyncio.wait((leaving,), timeout=CLOSE_SECONDS)
    leaving.cancel()


class QueueSubscription:
    """A reader of a queue on a channel of its own; when that is gone, subscribe anew."""

    def __init__(self, channel: AbstractChannel, types: Collection[str]) -> None:
        self._channel = channel
        self._types = types
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        self._gone = False

    @classmethod
    async def open(
        cls, channel: AbstractChannel, queue: str, types: Collection[str]
    ) -> "QueueSubscription":
        """Have the broker send what is in the queue."""
        subscription = cls(channel, types)
        channel.on_consumer_cancel_callbacks.add(subscription.on_cancel)
        try:
            await answer(channel.basic_qos(prefetch_count=PREFETCH))
            await answer(channel.basic_consume(queue, subscription.on_message))
        except BaseException:
            # The broker may have begun to send, and would wait to hear what nobody reads.
            await subscription.close()
            raise
        return subscription

    async def on_message(self, raw: DeliveredMessage) -> None:
        """Take in a message; a type that is handled no more may still be bound."""
        if raw.routing_key in self._types:
            self._arrived.put_nowait(raw)
        else:
            await _RabbitDelivery(raw, self).done()

    async def on_cancel(self, _: object) -> None:
        """Note that the queue is gone."""
        self._gone = True

    async def fetch(self, limit: int) -> list[Delivery]:
        """Wait a moment for the first message, and take those that came with it."""
        if self._gone or self._channel.is_closed:
            raise BrokerUnavailable("the connection or the queue is gone")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                fetched = [await self._arrived.get()]
        except TimeoutError:
            return []
        while len(fetched) < limit and not self._arrived.empty():
            fetched.append(self._arrived.get_nowait())
        return [_RabbitDelivery(raw, self) for raw in fetched]

    async def close(self) -> None:
        """Leave the queue, which gives back all that was not settled."""
        await leave(self._channel)

    async def settle(self, raw: DeliveredMessage) -> None:
        """Let the broker forget a message; what it did not hear it delivers to the next reader.

        On a connection that is lost the client may wait for ever.
        """
        if self._gone:
            return
        try:
            with answering():
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._channel.basic_ack(raw.delivery_tag or 0, wait=False)
        except BrokerUnavailable:
            self._gone = True

    def deliver_again(self, raw: DeliveredMessage, seconds: float) -> None:
        """Deliver a message again: it is still ours, and the broker need not count it."""
        asyncio.get_running_loop().call_later(seconds, self._arrived.put_nowait, raw)


class _RabbitDelivery:
    """A message that the queue waits to hear about."""

    def __init__(self, raw: DeliveredMessage, reader: QueueSubscription) -> None:
        self._raw = raw
        self._reader = reader
        self.message = _message_of(raw)

    async def done(self) -> None:
        await self._reader.settle(self._raw)

    async def give_back(self, seconds: float) -> None:
        self._reader.deliver_again(self._raw, seconds)


def _message_of(raw: DeliveredMessage) -> Message:
    properties = raw.header.properties
    headers = {name.lower(): _text(value) for name, value in (properties.headers or {}).items()}
    if properties.content_type:
        headers["content-type"] = _text(properties.content_type)
    id_, type_ = headers.get("ce-id"), headers.get("ce-type")
    return Message(
        id=id_ or _text(properties.message_id or "") or _fingerprint(headers, raw.body),
        type=type_ or _text(properties.message_type or raw.routing_key or ""),
        key=headers.get("ce-partitionkey", ""),
        headers=headers,
        body=raw.body,
    )


def _text(value: object) -> str:
    """Write a value down without NUL: no table takes that, and a failure has to be kept."""
    return str(value).replace("\0", "")


def _fingerprint(headers: Mapping[str, str], body: bytes) -> str:
    """Identify a message that has no id by what it says."""
    named = "\n".join(f"{name}: {value}" for name, value in sorted(headers.items()))
    return hashlib.sha256(named.encode() + b"\n\n" + body).hexdigest()
