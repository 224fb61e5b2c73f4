"""The consumers of this service: who handles which events; components add theirs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.chassis.outbox.cloudevents import ReceivedEvent

Handler = Callable[[ReceivedEvent], Awaitable[None]]


@dataclass(frozen=True)
class Consumer:
    """Handlers that share a place in a topic.

    `name` is that place's identity, at the broker and in the inbox: renaming a consumer makes it
    handle everything anew. A handler runs in a transaction, once for each event, however often it
    is delivered; it raises to be tried again. Events may overtake each other where one is retried
    or several workers run.
    """

    name: str
    topic: str
    handlers: Mapping[str, Handler]


class Consumers:
    """The list that the worker runs."""

    def __init__(self, own_topic: str) -> None:
        self._own_topic = own_topic
        self._consumers: dict[str, Consumer] = {}

    def add(self, name: str, handlers: Mapping[str, Handler], topic: str | None = None) -> None:
        """Handle events of `topic`, or of this service where none is named, by their type."""
        if name in self._consumers:
            raise ValueError(f"there is a consumer {name} already")
        self._consumers[name] = Consumer(name, topic or self._own_topic, handlers)

    def all(self) -> list[Consumer]:
        """Return the consumers in the order in which they were added."""
        return list(self._consumers.values())

    def of(self, topic: str) -> list[Consumer]:
        """Return those that handle events of `topic`."""
        return [consumer for consumer in self._consumers.values() if consumer.topic == topic]

    def get(self, name: str) -> Consumer | None:
        """Return the consumer called `name`, if this release has it."""
        return self._consumers.get(name)
