"""What the relay and the worker have in common as processes: how they stop and how they wait."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Stop:
    """Set once the process has been asked to stop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the process to stop."""
        self._asked.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the request to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def wait(self) -> None:
        """Wait for the request to stop."""
        await self._asked.wait()


def run_until_stopped(name: str, main: Callable[[Stop], Awaitable[None]]) -> None:
    """Run `main` until it returns, which it does soon after SIGTERM or SIGINT."""

    async def run() -> None:
        stop = Stop()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.ask)
        log.info(f"{name}_started")
        await main(stop)
        log.info(f"{name}_stopped")

    asyncio.run(run())
