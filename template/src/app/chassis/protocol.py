"""uvicorn's HTTP protocol, for clients that are slow on purpose or speak no HTTP."""

import asyncio
from functools import cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.chassis.errors import PROBLEM_MEDIA_TYPE, BadRequest, HeadersTooLarge, Problem
from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.problems import ProblemRenderer


class LimitedProtocol(HttpToolsProtocol):
    """Gives a request's head `HTTP_HEADER_TIMEOUT` and `HTTP_MAX_HEADER_BYTES` to arrive.

    Whoever exceeds them, or sends what is no HTTP, gets a problem and a closed connection.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = _limits()
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and not self._in_body:
            self._expect_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > self._limits.max_header_bytes:
            self._refuse(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        self._head_arrived()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read."""
        self._refuse(BadRequest(msg))

    def _expect_head(self) -> None:
        self._head_bytes = 0
        seconds = self._limits.header_timeout.total_seconds()
        self._head_timer = self.loop.call_later(seconds, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: Problem) -> None:
        self._head_arrived()
        rendered = _renderer().render(problem, {"path": ""})
        head = (
            f"HTTP/1.1 {rendered.status} {problem.title}\r\n"
            f"content-type: {PROBLEM_MEDIA_TYPE}\r\n"
            f"content-length: {len(rendered.body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + rendered.body)
        self.transport.close()


# A worker process is handed the protocol's name, not its settings.
@cache
def _limits() -> HttpSettings:
    return HttpSettings()


@cache
def _renderer() -> ProblemRenderer:
    return ProblemRenderer(ServerSettings(), _limits())
