"""Cross-origin requests: off unless `HTTP_CORS_ORIGINS` lists the origins, compared exactly."""

from collections.abc import Set as AbstractSet

from app.chassis.asgi import (
    ASGIApp,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    add_vary,
    header,
    respond,
)

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
RESPONSE_HEADERS = frozenset(
    {
        "Accept-Patch",
        "Allow",
        "Deprecation",
        "ETag",
        "Link",
        "Location",
        "Preference-Applied",
        "Retry-After",
        "Sunset",
        "X-Request-ID",
    }
)
REQUEST_HEADERS = frozenset(
    {"Content-Type", "If-Match", "If-None-Match", "Prefer", "X-Request-ID", "traceparent"}
)


class CrossOrigin:
    """Lets the listed origins call, without cookies; every other origin gets no CORS header.

    `request_headers` and `response_headers` are those of the components, beside the usual ones.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: tuple[str, ...],
        request_headers: AbstractSet[str],
        response_headers: AbstractSet[str],
    ) -> None:
        self.app = app
        self.origins = frozenset(origins)
        self.exposed = _listed(RESPONSE_HEADERS | response_headers)
        self.preflight: tuple[Header, ...] = (
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", _listed(REQUEST_HEADERS | request_headers)),
            (b"access-control-max-age", b"600"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.origins:
            await self.app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        allowed = origin if origin in self.origins else None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Header] = list(message["headers"])
                add_vary(headers, b"Origin")
                if allowed:
                    headers.append((b"access-control-allow-origin", allowed.encode()))
                    headers.append((b"access-control-expose-headers", self.exposed))
                message["headers"] = headers
            await send(message)

        requested = header(scope, b"access-control-request-method")
        if allowed and scope["method"] == "OPTIONS" and requested:
            await respond(sending, 204, b"", self.preflight)
        else:
            await self.app(scope, receive, sending)


def _listed(names: AbstractSet[str]) -> bytes:
    return ", ".join(sorted(names)).encode()
