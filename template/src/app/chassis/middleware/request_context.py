"""The outermost layer: correlation ids and the access log."""

import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import quote

import structlog
from uuid_utils import uuid7

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send, header_values
from app.chassis.health import is_probe
from app.chassis.problems import FAILURE

REQUEST_ID = re.compile(rb"[A-Za-z0-9/+_=-]{1,128}")
# Later versions may go on after what version 00 has, and 255 is none (W3C Trace Context, 2.2.2).
TRACEPARENT = re.compile(
    rb"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.access")

RouteOf = Callable[[Scope], str | None]


class RequestContext:
    """Gives every request an id, its response that id, and the log one line about it."""

    def __init__(self, app: ASGIApp, route_of: RouteOf) -> None:
        self.app = app
        self.route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app.path"] = quote(scope["path"])
        scope["app.arrived"] = time.monotonic()
        response = _Response(send, _request_id(scope))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=response.request_id.decode(), trace_id=_trace_id(scope)
        )
        try:
            await self.app(scope, receive, response.send)
        finally:
            self._log(scope, response.status)

    def _log(self, scope: Scope, status: int | None) -> None:
        seconds, failure = time.monotonic() - scope["app.arrived"], scope.get(FAILURE)
        if status is not None and status < 500 and is_probe(scope):
            return
        client = scope.get("client")
        write = log.error if status is not None and status >= 500 else log.info
        write(
            "request",
            method=scope["method"],
            path=scope["app.path"],
            route=self.route_of(scope),
            status=status,
            duration_ms=round(seconds * 1000, 2),
            client=client[0] if client else None,
            exc_info=failure,
        )


class _Response:
    """Watches what is sent, and signs it with the request id."""

    def __init__(self, send: Send, request_id: bytes) -> None:
        self.request_id = request_id
        self.status: int | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id)]
        await self._send(message)


def _request_id(scope: Scope) -> bytes:
    """The caller's id if it is one and well-formed, or a new one: an id never fails a request."""
    given = header_values(scope, b"x-request-id")
    if len(given) == 1 and REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return str(uuid7()).encode()


def _trace_id(scope: Scope) -> str:
    given = header_values(scope, b"traceparent")
    match = TRACEPARENT.fullmatch(given[0]) if len(given) == 1 else None
    return match[1].decode() if match else secrets.token_hex(16)
