"""Cross-origin requests: off unless `HTTP_CORS_ORIGINS` lists the origins, compared exactly."""

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

EXPOSED = (
    b"Accept-Patch, Allow, Deprecation, ETag, Link, Location, Preference-Applied, RateLimit, "
    b"RateLimit-Policy, Retry-After, Sunset, WWW-Authenticate, X-RateLimit-Limit, "
    b"X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)
ALLOWED = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, traceparent, "
    b"tracestate, X-Request-ID"
)
PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", ALLOWED),
    (b"access-control-max-age", b"600"),
)


class CrossOrigin:
    """Lets the listed origins call, without cookies; every other origin gets no CORS header."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self.app = app
        self.origins = frozenset(origins)

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
                    headers.append((b"access-control-expose-headers", EXPOSED))
                message["headers"] = headers
            await send(message)

        requested = header(scope, b"access-control-request-method")
        if allowed and scope["method"] == "OPTIONS" and requested:
            await respond(sending, 204, b"", PREFLIGHT)
        else:
            await self.app(scope, receive, sending)
