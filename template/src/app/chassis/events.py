"""Domain events: a slice says what happened; who listens is the bootstrap list's concern."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable
from uuid import UUID


@runtime_checkable
class Event(Protocol):
    """Something that happened to one aggregate.

    `type` is its public name (`order.created`); consumers see the events of one aggregate in order.
    """

    type: ClassVar[str]
    aggregate_type: ClassVar[str]

    @property
    def aggregate_id(self) -> UUID:
        """The one that it happened to."""
        ...

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        ...

    def data(self) -> dict[str, object]:
        """The JSON body."""
        ...


Subscriber = Callable[[Event], Awaitable[None]]


class Events:
    """Hands each event to every subscriber, inside the transaction that caused it.

    So what a subscriber writes commits with the change, and a subscriber that fails undoes it.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; they run in the order in which they were added."""
        self._subscribers.append(subscriber)

    async def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscriber in self._subscribers:
            await subscriber(event)
