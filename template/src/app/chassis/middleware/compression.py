"""Compression of responses, with a different entity tag for each variant (RFC 9110, 8.8.3)."""

import zlib

from app.chassis.asgi import (
    ASGIApp,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    add_vary,
    elements,
    header,
)

COMPRESSIBLE = (b"application/json", b"application/problem+json", b"application/vnd.", b"text/")
VARIANT_SUFFIX = "-gzip"
LENGTH = b"content-length"


class Compression:
    """Compresses bodies above `minimum` bytes with gzip where the client accepts it.

    Only whole bodies are compressed; what is streamed passes as it is.
    """

    def __init__(self, app: ASGIApp, minimum: int) -> None:
        self.app = app
        self.minimum = minimum

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                if start["status"] == 304:
                    self._keep_variant(start, scope)
                elif self._applies(start, message):
                    accepted = accepts_gzip(header(scope, b"accept-encoding") or "")
                    _compress(start, message, accepted=accepted)
                opening, start = start, None
                await send(opening)
            await send(message)

        await self.app(scope, receive, sending)

    def _keep_variant(self, start: Message, scope: Scope) -> None:
        """Answer 304 as the 200 would have been, or for the one variant that the client has.

        The 304 says how long the 200 would have been (RFC 9110, 8.6); that is not passed on.
        """
        length = next((int(value) for key, value in start["headers"] if key == LENGTH), 0)
        plain: list[Header] = [item for item in start["headers"] if item[0] != LENGTH]
        if length >= self.minimum:
            add_vary(plain, b"Accept-Encoding")
        chosen, other = plain, [_variant(item) for item in plain]
        if length >= self.minimum and accepts_gzip(header(scope, b"accept-encoding") or ""):
            chosen, other = other, chosen
        known = header(scope, b"if-none-match") or ""
        only_other = _is_known(other, known) and not _is_known(chosen, known)
        start["headers"] = other if only_other else chosen

    def _applies(self, start: Message, body: Message) -> bool:
        if body.get("more_body", False) or len(body.get("body", b"")) < self.minimum:
            return False
        headers: dict[bytes, bytes] = {key.lower(): value for key, value in start["headers"]}
        return b"content-encoding" not in headers and headers.get(b"content-type", b"").startswith(
            COMPRESSIBLE
        )


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip, and no less gladly than no coding (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for item in elements(accept_encoding.lower()):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[coding] = float(weight)
        except ValueError:
            weights[coding] = 0
    gzip = weights.get("gzip", weights.get("*", 0))
    return gzip > 0 and gzip >= weights.get("identity", 0)


def _compress(start: Message, message: Message, *, accepted: bool) -> None:
    headers: list[Header] = [(key.lower(), value) for key, value in start["headers"]]
    add_vary(headers, b"Accept-Encoding")
    if accepted:
        compressor = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with a gzip header
        message["body"] = compressor.compress(message["body"]) + compressor.flush()
        headers = [_variant(item) for item in headers if item[0] != LENGTH]
        headers.append((b"content-encoding", b"gzip"))
        headers.append((LENGTH, str(len(message["body"])).encode()))
    start["headers"] = headers


def _is_known(headers: list[Header], known: str) -> bool:
    return any(key == b"etag" and value.decode() in known for key, value in headers)


def _variant(item: Header) -> Header:
    key, value = item
    if key == b"etag" and value.endswith(b'"'):
        return key, value[:-1] + VARIANT_SUFFIX.encode() + b'"'
    return item
