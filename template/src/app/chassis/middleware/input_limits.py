"""Input limits: how much a client may send, how slowly, and how many may be served at once."""

import asyncio

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send, header
from app.chassis.errors import (
    BadRequest,
    ContentTooLarge,
    HeadersTooLarge,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
)
from app.chassis.http import HttpSettings

EXEMPT = "/health/"


class InputLimits:
    """Refuses what is too large, too slow or too much; nothing is buffered before it is counted."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self.app = app
        self.settings = settings
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(EXEMPT):
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.settings.max_concurrent_requests:
            raise Unavailable("Too many requests are being served at the moment.")
        self._check_headers(scope)
        self.in_flight += 1
        try:
            await self.app(scope, self._limited(receive), send)
        finally:
            self.in_flight -= 1

    def _check_headers(self, scope: Scope) -> None:
        size = sum(len(key) + len(value) for key, value in scope["headers"])
        if size > self.settings.max_header_bytes:
            raise HeadersTooLarge
        declared = header(scope, b"content-length")
        if declared is not None and not (declared.isascii() and declared.isdigit()):
            raise BadRequest("Content-Length must be a number.")
        if declared is not None and int(declared) > self.settings.max_body_bytes:
            raise self._too_large()
        coding = header(scope, b"content-encoding")
        if coding is not None and coding.strip().lower() != "identity":
            raise UnsupportedMediaType(
                "Compressed request bodies are not accepted.",
                headers={"Accept-Encoding": "identity"},
            )

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
