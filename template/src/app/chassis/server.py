"""The HTTP server: uvicorn, with a shutdown that a balancer in front does not notice."""

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn

from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.service import Service

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def draining(service: Service) -> AsyncGenerator[None]:
    """On SIGTERM fail readiness first, and keep serving until the balancer has noticed.

    After `HTTP_DRAIN_DELAY` the signal goes on to the server, which finishes what is in flight.
    """
    delay = service.get(HttpSettings).drain_delay.total_seconds()
    loop = asyncio.get_running_loop()
    stop = signal.getsignal(signal.SIGTERM)

    def on_term(signum: int, frame: FrameType | None) -> None:
        if service.checks.draining or not callable(stop):
            return
        service.checks.draining = True
        log.info("draining", seconds=delay)
        loop.call_soon_threadsafe(loop.call_later, delay, stop, signum, frame)

    if callable(stop) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)
    yield
    log.info("stopped")


def exit_cleanly(_signum: int, _frame: FrameType | None) -> NoReturn:
    """Being told to stop is no failure: leave with status 0."""
    raise SystemExit(0)


def serve(server: ServerSettings, http: HttpSettings, *, reload: bool = False) -> None:
    """Run the HTTP server until SIGTERM or SIGINT, then finish what is in flight and exit 0."""
    # uvicorn raises the signals that it received once more when it is done.
    signal.signal(signal.SIGTERM, exit_cleanly)
    signal.signal(signal.SIGINT, exit_cleanly)
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
        timeout_keep_alive=int(http.keep_alive_timeout.total_seconds()),
        timeout_graceful_shutdown=int(http.shutdown_grace.total_seconds()),
        log_config=None,
        access_log=False,
        server_header=False,
    )
