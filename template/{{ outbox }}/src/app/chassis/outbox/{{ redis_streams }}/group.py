"""Reading as a member of a consumer group: new entries, and those that others left behind."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from app.chassis.outbox.broker import BrokerUnavailable, Delivery, Message
from app.chassis.outbox.entries import message_of
from app.chassis.outbox.pipeline import Pipeline

WAIT_MILLISECONDS = 1000
LEFT_SECONDS = 1.0
# A member that has not read for so long is no more.
DEAD_MILLISECONDS = 600_000
MOST_PENDING = 10_000
START = b"0-0"

# Removes the members that are gone, but none that has entries to be taken over. In one step:
# removing a member removes what it has.
SWEEP = """
local gone = 0
for _, member in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #member, 2 do is[member[i]] = member[i + 1] end
  if is.pending == 0 and (is.name == ARGV[2] or is.idle > tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
    gone = gone + 1
  end
end
return gone
"""

Entry = tuple[bytes, Mapping[bytes, bytes]]

# When a connection is lost, the client passes on what its transport says, whatever that is:
# uvloop's word for one that is closed is RuntimeError.
FAILURES = (Exception,)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group of a stream, as one of its members uses it.

    An entry that is not settled for `lease` milliseconds belongs to whoever takes it.
    """

    redis: Redis
    pipeline: Pipeline
    topic: str
    name: str
    member: str
    lease: int

    async def make(self) -> None:
        """Make the group, and the stream if need be; a group that is there stays as it is.

        A server without room does not even say whether there is one. Who reads will see.
        """
        try:
            await self.redis.xgroup_create(self.topic, self.name, id="0", mkstream=True)
        except ResponseError as error:
            is_there = str(error).startswith("BUSYGROUP")
            if not is_there and not isinstance(error, OutOfMemoryError):
                raise

    async def new(self, limit: int) -> list[Entry]:
        """Wait a moment for entries that no member has got."""
        reply: Any = await self.redis.xreadgroup(
            self.name, self.member, {self.topic: ">"}, count=limit, block=WAIT_MILLISECONDS
        )
        return reply[0][1] if reply else []

    async def left(self, start: bytes, limit: int) -> tuple[bytes, list[Entry]]:
        """Take over entries whose lease has ended; returns where to go on looking, too."""
        reply: Any = await self.redis.xautoclaim(
            self.topic, self.name, self.member, self.lease, start, count=limit
        )
        return reply[0], reply[1]

    async def settle(self, entry_id: bytes) -> None:
        """Have the group forget an entry."""
        await self.pipeline.send("XACK", self.topic, self.name, entry_id)

    async def leave(self, entry_ids: list[bytes], seconds: float) -> None:
        """Let the lease of entries end in `seconds`."""
        place = (self.topic, self.name, self.member)
        idle = max(0, self.lease - round(seconds * 1000))
        await self.pipeline.send("XCLAIM", *place, 0, *entry_ids, "IDLE", idle, "JUSTID")

    async def quit(self) -> None:
        """Leave everything that this member has, and the group if there is nothing."""
        pending: Any = await self.redis.xpending_range(
            self.topic, self.name, "-", "+", MOST_PENDING, self.member
        )
        if pending:
            await self.leave([entry["message_id"] for entry in pending], 0)
        await self.sweep()

    async def sweep(self) -> None:
        """Remove this member, if it has nothing, and those that died before."""
        arguments = [self.topic, self.name, self.member, str(DEAD_MILLISECONDS)]
        await cast("Any", self.redis.eval(SWEEP, 1, *arguments))


class GroupSubscription:
    """A member of a group that reads what it has a handler for; when it fails, subscribe anew."""

    def __init__(self, group: Group, types: Collection[str]) -> None:
        self._group = group
        self._types = types
        self._position = START
        self._look_at = 0.0

    async def fetch(self, limit: int) -> list[Delivery]:
        """Wait a moment for messages; those of other types are settled at once."""
        try:
            entries = await self._left(limit) or await self._group.new(limit)
            deliveries = [_RedisDelivery(self._group, entry) for entry in entries]
            for other in (one for one in deliveries if one.message.type not in self._types):
                await other.done()
        except FAILURES as error:
            raise BrokerUnavailable(str(error)) from error
        return [one for one in deliveries if one.message.type in self._types]

    async def close(self) -> None:
        """Give back what was fetched and not settled."""
        with suppress(*FAILURES):
            await self._group.quit()

    async def _left(self, limit: int) -> list[Entry]:
        if time.monotonic() < self._look_at:
            return []
        self._position, entries = await self._group.left(self._position, limit)
        if self._position == START:
            self._look_at = time.monotonic() + LEFT_SECONDS
        return entries


class _RedisDelivery:
    """A message that the group waits to hear about."""

    def __init__(self, group: Group, entry: Entry) -> None:
        self._group = group
        self._entry_id = entry[0]
        self.message: Message = message_of(group.topic, *entry)

    async def done(self) -> None:
        with suppress(*FAILURES):
            await self._group.settle(self._entry_id)

    async def give_back(self, seconds: float) -> None:
        with suppress(*FAILURES):
            await self._group.leave([self._entry_id], seconds)
