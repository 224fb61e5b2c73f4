"""A time limit for servers that counts only the time in which this process could listen."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

TICKS = 4


@asynccontextmanager
async def patience(seconds: float) -> AsyncGenerator[None]:
    """Raise `TimeoutError` in the block when the server it waits for takes longer.

    A plain timeout blames the server when it was this process that was busy, or not running at
    all, while the answer lay in the socket. Here the time passes in ticks, and between two ticks
    the event loop reads what has arrived.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as deadline:

        def tick(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(seconds / TICKS, tick, left - 1)
            else:
                deadline.reschedule(loop.time())

        timer = loop.call_later(seconds / TICKS, tick, TICKS - 1)
        try:
            yield
        finally:
            timer.cancel()
