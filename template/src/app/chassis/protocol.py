"""uvicorn's HTTP protocol, for clients that are slow on purpose or speak no HTTP."""

import asyncio
import logging
import secrets
from collections import deque
from functools import cache
from typing import Any

import httptools
import structlog
from structlog.contextvars import bound_contextvars
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.chassis.errors import BadRequest, ContentTooLarge, HeadersTooLarge, Problem, RequestTimeout
from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.middleware.security_headers import ALWAYS, API_POLICY
from app.chassis.problems import ProblemRenderer

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# What uvicorn warns of here, clients cause: that is logged once, under the id of the request.
_failures = logging.getLogger("uvicorn.error.protocol")
_failures.setLevel(logging.ERROR)

VERSIONS = ("1.1", "1.0")
MOST_PIPELINED = 100
FRAMING = 8
"""How many bytes a byte of a body may take on the wire: chunks may be small."""


class LimitedProtocol(HttpToolsProtocol):
    """Gives a request's head `HTTP_HEADER_TIMEOUT` and `HTTP_MAX_HEADER_BYTES` to arrive.

    Whoever exceeds them, or sends what is no HTTP, gets a problem and a closed connection. Who is
    slow with a body that nobody reads, or with reading the answer, just loses the connection.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _failures
        self._limits = _limits()
        self._most_bytes = self._limits.max_header_bytes + FRAMING * self._limits.max_body_bytes
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._serving: RequestResponseCycle | None = None
        self._bytes = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self._body_arrived()
        # uvicorn tells the newest request only; the one being served may be an older one.
        self.pipeline.clear()
        if self._serving is not None:
            self._serving.disconnected = True
            self._serving.message_event.set()
        super().connection_lost(exc)
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and not self._in_body:
            self._expect_head()
        self._bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None:
            if self._bytes > self._limits.max_header_bytes:
                self._refuse(HeadersTooLarge())
        elif self._in_body:
            self._expect_body()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] - as asyncio's
        """Let a client that has said everything have its answer; the connection ends with that.

        So it is in TCP: one direction is at its end, and not yet the other.
        """
        is_answering = self._serving is not None and not self.cycle.response_complete
        if is_answering and not self._in_body:
            self.cycle.keep_alive = False
            return True
        return False

    def on_header(self, name: bytes, value: bytes) -> None:
        # White space around a value is no part of it (RFC 9110, 5.5).
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self._head_arrived()
        assert self.parser is not None
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            raise BadRequest
        if version == "1.0":  # whose clients know of no interim answers (RFC 9110, 15.2)
            self.expect_100_continue = False
            if any(name == b"transfer-encoding" for name, _ in self.headers):
                raise BadRequest  # nor of chunks, so where does the body end? (RFC 9112, 6.1)
        if self.target[:1] not in (b"/", b"*"):
            self._use_authority()
        super().on_headers_complete()
        self._in_body = True
        # What follows the body is dropped: it would pass for headers, as many as the client likes.
        self.headers = deque(maxlen=0)  # pyright: ignore[reportAttributeAccessIssue]
        if len(self.pipeline) > MOST_PIPELINED:
            raise BadRequest

    def _use_authority(self) -> None:
        """Let an absolute target name the host, whatever `Host` says (RFC 9112, 3.2.2)."""
        target = httptools.parse_url(self.target)
        if not target.host or target.userinfo:
            raise BadRequest
        host = b"[%b]" % target.host if b":" in target.host else target.host
        if target.port:
            host += b":%d" % target.port
        self.headers[:] = [(k, host if k == b"host" else value) for k, value in self.headers]
        if not target.path:
            self.url += b"/"

    @property
    def target(self) -> bytes:
        """What the client asks for, as it wrote that: mostly a path."""
        return self.url  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def on_message_complete(self) -> None:
        self._in_body = False
        self._bytes = 0
        self._body_arrived()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        seconds = self._limits.write_timeout.total_seconds()
        self._write_timer = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read."""
        self._refuse(BadRequest(msg))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._serving = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._bytes = 0
        seconds = self._limits.header_timeout.total_seconds()
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._bytes:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _expect_body(self) -> None:
        if self._bytes > self._most_bytes:
            self._refuse(ContentTooLarge())
        elif self._body_timer is None:
            seconds = self._limits.body_timeout.total_seconds()
            self._body_timer = self.loop.call_later(seconds, self._body_is_late)

    def _body_arrived(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _body_is_late(self) -> None:
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the application, unless it is at work on an earlier request.

        That one's answer is the last, then.
        """
        self._head_arrived()
        if self._serving is None or self._serving.response_complete:
            if not self._in_body:  # else it has its answer
                self._answer(problem)
        elif self._serving is not self.cycle or not self._in_body:
            self._serving.keep_alive = False
            self.pipeline.clear()
            self.flow.pause_reading()
            return
        self.transport.close()

    def _answer(self, problem: Problem) -> None:
        request_id = str(uuid7())
        with bound_contextvars(request_id=request_id, trace_id=secrets.token_hex(16)):
            rendered = _renderer().render(problem, {"path": ""})
            client = self.client[0] if self.client else None
            log.info("request_refused", status=rendered.status, why=problem.detail, client=client)
        headers = [
            *self.server_state.default_headers,
            *rendered.raw_headers,
            *ALWAYS,
            API_POLICY,
            (b"x-request-id", request_id.encode()),
            (b"content-length", str(len(rendered.body)).encode()),
            (b"connection", b"close"),
        ]
        head = f"HTTP/1.1 {rendered.status} {problem.title}\r\n".encode()
        lines = b"".join(key + b": " + value + b"\r\n" for key, value in headers)
        self.transport.write(head + lines + b"\r\n" + rendered.body)


# A worker process is handed the protocol's name, not its settings.
@cache
def _limits() -> HttpSettings:
    return HttpSettings()


@cache
def _renderer() -> ProblemRenderer:
    return ProblemRenderer(ServerSettings(), _limits())
