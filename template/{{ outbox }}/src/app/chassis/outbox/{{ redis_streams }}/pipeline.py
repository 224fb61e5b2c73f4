"""Many tasks' commands in one round trip."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio
from typing import Any

from redis.asyncio import Redis

LARGEST_BATCH = 100

Argument = str | bytes | int


class Pipeline:
    """Sends one batch at a time; what comes up meanwhile shares the next one.

    A single command costs one round trip, and many at once cost much less than that each. With
    `appendfsync always` they share one write to the disk, too.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def send(self, *command: Argument) -> Any:
        """Return the reply to a command; raises what the client would raise for it alone."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, reply))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await reply

    async def close(self) -> None:
        """Stop, in the middle of a batch where there is one."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                # Nobody waits any more for what was cancelled.
                wanted = [item for item in self._waiting if not item[1].done()]
                batch, self._waiting = wanted[:LARGEST_BATCH], wanted[LARGEST_BATCH:]
                await self._send(batch)
        finally:
            self._sending = None

    async def _send(self, batch: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for command, _ in batch:
            pipeline.execute_command(*command)
        try:
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            answers = [error] * len(batch)
        for (_, reply), answer in zip(batch, answers, strict=True):
            if reply.done():
                continue
            if isinstance(answer, Exception):
                reply.set_exception(answer)
            else:
                reply.set_result(answer)
