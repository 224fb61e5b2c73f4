"""What the relay and the worker have in common as processes: how they stop and how they wait."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

import structlog
from uvicorn.loops.auto import auto_loop_factory

from app import stopping
from app.chassis.heartbeat import beating
from app.chassis.outbox.settings import HeartbeatSettings

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Stop:
    """Set once the process has been asked to stop; `signum` says by which signal."""

    signum = signal.SIGTERM

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()

    def __bool__(self) -> bool:
        return self._asked.is_set()

    @classmethod
    def on_signals(cls) -> Self:
        """Have SIGTERM and SIGINT ask for it; end the process if one of them has come before."""
        stop, loop = cls(), asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.ask, signum)
        stopping.leave_if_told()
        return stop

    def ask(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Ask the process to stop."""
        if not self:
            self.signum = signum
            self._asked.set()
            for wait in self._waits:
                wait.reschedule(0)

    async def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the request to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def or_done(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what `work` returns, or None as soon as the process is asked to stop.

        Work that has nothing to wait for is done at once, before anything else has its turn.
        """
        wait = asyncio.timeout(0 if self else None)
        try:
            async with wait:
                self._waits.add(wait)
                return await work
        except TimeoutError:
            if wait.expired():
                return None
            raise
        finally:
            self._waits.discard(wait)


def is_wanted_to_end() -> bool:
    """Tell whether a cancellation is meant for this task.

    A client may cancel what waits for it, when it gives up a connection: that is an outage.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class Outage:
    """Tells the log once that something cannot be used, and once that it can be again."""

    def __init__(self, what: str) -> None:
        self._begins = f"{what}_unavailable"
        self._ends = f"{what}_available"
        self._lasting = False

    def begun(self, error: BaseException) -> None:
        """It could not be used."""
        if not self._lasting:
            log.warning(self._begins, error=f"{type(error).__name__}: {error}")
        self._lasting = True

    def over(self) -> None:
        """It could be used."""
        if self._lasting:
            log.info(self._ends)
        self._lasting = False


def run_until_stopped(
    name: str, main: Callable[[Stop], Awaitable[None]], heartbeat: HeartbeatSettings
) -> None:
    """Run `main` until it returns, which it does soon after SIGTERM or SIGINT."""

    async def run() -> None:
        stop = Stop.on_signals()
        log.info("started", process=name)
        async with beating(heartbeat.file, heartbeat.timeout.total_seconds()):
            await main(stop)
        log.info("stopped", process=name)

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(run())
