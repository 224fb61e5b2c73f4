"""Connections on which nobody waits for ever.

The server's timeouts are of no use when the server hangs, or cannot be heard. So a connection on
which an answer is overdue is ended from here: whoever waits gets an `OperationalError`, and the
pool replaces it together with all others of that time.
"""

import asyncio
import math
import select
import socket
import threading
from collections.abc import Mapping
from contextvars import Context
from datetime import timedelta
from typing import Any, cast

import psycopg
import structlog
from psycopg.pq.abc import PGconn
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3}
"""Options of a connection: a peer that has vanished is noticed while nothing is asked, too."""

CANCEL_SECONDS = 2

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class PatientConnection(psycopg.AsyncConnection[Any]):
    """Waits `patience` seconds for each answer.

    There is no timer for each wait, which would cost each statement something: the one that
    there is looks again when the wait that is on by then would be over its time.
    """

    patience: float
    _deadline = math.inf
    _watch: asyncio.TimerHandle | None = None

    @classmethod
    async def opened(
        cls, patience: timedelta, *arguments: Any, **options: Any
    ) -> "PatientConnection":
        """Connect; `arguments` and `options` are those of `connect`."""
        connection = await cls.connect(*arguments, **options)
        connection.patience = patience.total_seconds()
        return connection

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, but not for ever."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self.patience
        if self._watch is None:
            # In nobody's context: by then the connection may be another request's.
            self._watch = loop.call_later(self.patience, self._look, loop, context=Context())
        try:
            return await super().wait(*arguments, **options)
        finally:
            self._deadline = math.inf

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        if self._deadline <= loop.time():
            _end(self.pgconn)
        elif self._deadline < math.inf:
            self._watch = loop.call_at(self._deadline, self._look, loop, context=Context())


class PatientSyncConnection(psycopg.Connection[Any]):
    """The same for a process that does one thing at a time."""

    patience: float

    @classmethod
    def opened(
        cls, patience: timedelta, *arguments: Any, **options: Any
    ) -> "PatientSyncConnection":
        """Connect; `arguments` and `options` are those of `connect`."""
        connection = cls.connect(*arguments, **options)
        connection.patience = patience.total_seconds()
        return connection

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does, but not for ever, nor let the server go on when told to stop."""
        overdue = threading.Timer(self.patience, _end, [self.pgconn])
        overdue.start()
        try:
            return super().wait(*arguments, **options)
        except SystemExit:
            self.cancel_safe(timeout=CANCEL_SECONDS)
            raise
        finally:
            overdue.cancel()


def arguments_of(url: URL) -> dict[str, Any]:
    """What libpq is given for an address, whoever connects to it."""
    _, arguments = PGDialect_psycopg().create_connect_args(url)  # pyright: ignore[reportUnknownMemberType] - not annotated
    return arguments


def options_of(url: URL, session: Mapping[str, str | timedelta]) -> str:
    """The `options` of a connection: what the address sets, and `session`, which wins.

    A length of time is given in milliseconds, and never as 0, which PostgreSQL takes for no limit.
    """
    own = (f"-c {name}={_setting(value)}" for name, value in session.items())
    return " ".join([*url.normalized_query.get("options", ()), *own])


def _setting(value: str | timedelta) -> str:
    return value if isinstance(value, str) else str(math.ceil(value / timedelta(milliseconds=1)))


def replace_ended(_dbapi: object, entry: ConnectionPoolEntry, _pooled: object) -> None:
    """Let the pool replace a connection that the server has ended while nobody used it.

    Its end is all that an idle connection has to read. This is a listener for `checkout`.
    """
    connection = cast("PatientConnection", entry.driver_connection)
    news = select.poll()
    if not connection.closed:
        news.register(connection.pgconn.socket, select.POLLIN)
    if connection.closed or news.poll(0):
        raise DisconnectionError


def _end(connection: PGconn) -> None:
    """Wake up whoever waits: a socket that was shut down is at its end for the reader."""
    log.warning("database_silent")
    with socket.fromfd(connection.socket, socket.AF_INET, socket.SOCK_STREAM) as raw:
        raw.shutdown(socket.SHUT_RDWR)
