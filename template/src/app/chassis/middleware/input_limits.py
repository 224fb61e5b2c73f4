"""Input limits: how much a client may send, how slowly, and how many may be served at once."""

import asyncio

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send
from app.chassis.errors import (
    BadRequest,
    ContentTooLarge,
    HeadersTooLarge,
    NotFound,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)
from app.chassis.health import is_probe
from app.chassis.http import HttpSettings

CHECKED = frozenset(
    {b"content-length", b"transfer-encoding", b"content-encoding", b"content-range"}
)


class InputLimits:
    """Refuses what is too large, too slow or too much; nothing is buffered before it is counted."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self.app = app
        self.settings = settings
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_probe(scope):
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.settings.max_concurrent_requests:
            raise Unavailable("Too many requests are being served at the moment.")
        self._check_head(scope)
        self.in_flight += 1
        try:
            await self.app(scope, self._limited(receive), send)
        finally:
            self.in_flight -= 1

    def _check_head(self, scope: Scope) -> None:
        most = self.settings.max_header_bytes
        if len(scope["raw_path"]) + len(scope["query_string"]) > most:
            raise UriTooLong
        if "\n" in scope["path"]:  # the `$` of a route's pattern would pass over it
            raise NotFound
        if b"%2f" in scope["raw_path"].lower():  # is no `/`, which routes take it for
            raise NotFound
        size = 0
        for key, value in scope["headers"]:
            size += len(key) + len(value)
            if key in CHECKED:
                self._check(key, value.strip().lower())
        if size > most:
            raise HeadersTooLarge

    def _check(self, key: bytes, value: bytes) -> None:
        if key == b"content-length":
            if not value.isdigit():
                raise BadRequest("Content-Length must be a number.")
            if int(value) > self.settings.max_body_bytes:
                raise self._too_large()
        elif key == b"transfer-encoding" and value != b"chunked":
            raise BadRequest(
                "No transfer coding but chunked is read.", headers={"Connection": "close"}
            )
        elif key == b"content-encoding" and value != b"identity":
            raise UnsupportedMediaType(
                "Compressed request bodies are not accepted.",
                headers={"Accept-Encoding": "identity"},
            )

        elif key == b"content-range":
            raise BadRequest("A part of a resource cannot be sent.")

    def _limited(self, receive: Receive) -> Receive:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.body_timeout.total_seconds()
        left = self.settings.max_body_bytes
        complete = False

        async def receiving() -> Message:
            nonlocal left, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(headers={"Connection": "close"}) from None
            if message["type"] == "http.request":
                complete = not message.get("more_body", False)
                left -= len(message.get("body", b""))
                if left < 0:
                    raise self._too_large()
            return message

        return receiving

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(
            f"The body may have at most {self.settings.max_body_bytes} bytes.",
            headers={"Connection": "close"},
        )
