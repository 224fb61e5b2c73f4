"""The HTTP server: uvicorn, with a shutdown that a balancer in front does not notice."""

import asyncio
import math
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from types import FrameType

import structlog
import uvicorn

from app import stopping
from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.middleware.input_limits import InputLimits
from app.chassis.service import Service

UNDO_SECONDS = 3

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def draining(service: Service) -> AsyncGenerator[None]:
    """On SIGTERM fail readiness first, and keep serving until the balancer has noticed.

    After `HTTP_DRAIN_DELAY` the signal goes on to the server, which finishes what is in flight.
    """
    stopping.begin()  # a worker process has not come through the command
    delay = service.get(HttpSettings).drain_delay.total_seconds()
    loop = asyncio.get_running_loop()
    stop = signal.getsignal(signal.SIGTERM)

    def on_term(signum: int, frame: FrameType | None) -> None:
        if service.checks.draining or not callable(stop):
            return
        service.checks.draining = True
        # Not here: the signal may have interrupted a line of the log in the middle, or a request.
        loop.call_soon_threadsafe(drain, partial(stop, signum, frame), context=Context())

    def drain(finish: Callable[[], object]) -> None:
        log.info("draining", seconds=delay)
        loop.call_later(delay, finish)

    if callable(stop) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)
    stopping.pass_on()
    yield
    # What was still in flight after the grace has just been cancelled, and undoes what it did.
    with suppress(TimeoutError):
        async with asyncio.timeout(UNDO_SECONDS):
            while service.get(InputLimits).in_flight:  # noqa: ASYNC110 - requests come and go
                await asyncio.sleep(0.01)
    log.info("stopped")


def serve(server: ServerSettings, http: HttpSettings, *, reload: bool = False) -> None:
    """Run the HTTP server until SIGTERM or SIGINT, then finish what is in flight.

    When it is done uvicorn raises the signals that it received once more: see `stopping`.
    """
    stopping.leave_if_told()
    uvicorn.run(
        "app.http.app:create_app",
        factory=True,
        lifespan="on",
        http="app.chassis.protocol:LimitedProtocol",
        ws="none",
        host=server.host,
        port=server.port,
        workers=server.workers,
        reload=reload,
        reload_dirs=["src"] if reload else None,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=list(server.trusted_proxies),
        timeout_keep_alive=math.ceil(http.keep_alive_timeout.total_seconds()),
        timeout_graceful_shutdown=math.ceil(http.shutdown_grace.total_seconds()),
        log_config=None,
        access_log=False,
        server_header=False,
    )
