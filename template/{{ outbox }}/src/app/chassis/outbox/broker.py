"""The port to the message broker: what the relay and the worker need of one, whichever it is."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol


class BrokerUnavailable(Exception):
    """The broker did not answer. That says nothing about the message: try again."""


class Refused(Exception):
    """The broker answered, and does not do what it was asked for."""


class Message(NamedTuple):
    """An event on the wire: CloudEvents 1.0 attributes as headers, the JSON body beside them."""

    id: str
    type: str
    key: str
    headers: Mapping[str, str]
    body: bytes


class Delivery(Protocol):
    """A message that the broker handed over, and keeps until it is settled.

    Settling never fails: what does not reach the broker makes it deliver the message again.
    """

    @property
    def message(self) -> Message: ...

    async def done(self) -> None:
        """Let the broker forget the message."""
        ...

    async def give_back(self, seconds: float) -> None:
        """Have the broker deliver the message again, after a pause."""
        ...


class Subscription(Protocol):
    """A durable place in a topic, shared by all workers of one consumer."""

    async def fetch(self, limit: int) -> list[Delivery]:
        """Wait a moment for messages; raises `BrokerUnavailable`."""
        ...

    async def close(self) -> None:
        """Give back what has come in and was not fetched."""
        ...


class Broker(Protocol):
    """A connection that looks after itself: it is made and mended in the background."""

    async def ready(self) -> None:
        """Wait until there is a connection."""
        ...

    async def publish(self, message: Message) -> None:
        """Return once the broker has confirmed that it stored the message.

        Raises:
            BrokerUnavailable: there was no confirmation; the message may have been stored anyway.
            Refused: the broker answered, and does not take this message.
        """
        ...

    async def reserve(self, consumer: str, topic: str, types: Collection[str]) -> None:
        """Make the durable place of `consumer`: it misses nothing that is published from then on.

        It gets the events of `types` and no others.

        Raises:
            BrokerUnavailable: there was no answer, or what the place needs is not there yet.
            Refused: the broker answered, and does not make it.
        """
        ...

    async def subscribe(self, consumer: str, topic: str, types: Collection[str]) -> Subscription:
        """Take up the durable place of `consumer`, or make it; raises as `reserve` does."""
        ...

    async def close(self) -> None:
        """Leave the broker."""
        ...
