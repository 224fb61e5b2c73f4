"""A thread for calls that block, one after the other; it keeps no process from ending."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class CallThread:
    """A daemon: should a call never return, the process ends all the same."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=self._serve, name=name, daemon=True).start()

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what `work` returns; a call that is cancelled meanwhile goes on unheard."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*arguments))
            except Exception as error:  # noqa: BLE001 - whoever waits for the call gets it
                future.set_exception(error)

        self._calls.put(call)
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        """Take no more calls."""
        self._calls.put(None)

    def _serve(self) -> None:
        while call := self._calls.get():
            call()
