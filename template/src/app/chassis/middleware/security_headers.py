"""Security headers for an API (OWASP REST Security Cheat Sheet)."""

from app.chassis.asgi import ASGIApp, Header, Message, Receive, Scope, Send

API_POLICY: Header = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
)
DOCS_SOURCES = b"'self' 'unsafe-inline' https://cdn.jsdelivr.net"
DOCS_POLICY: Header = (
    b"content-security-policy",
    b"; ".join(
        (
            b"default-src 'self'",
            b"img-src 'self' data: https:",
            b"frame-ancestors 'none'",
            b"base-uri 'none'",
            b"script-src " + DOCS_SOURCES,
            b"style-src " + DOCS_SOURCES,
        )
    ),
)
ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
HSTS: Header = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
NO_STORE: Header = (b"cache-control", b"no-store")


class SecurityHeaders:
    """Adds the headers to every response; HSTS only where the client came over TLS (RFC 6797)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(scope, message["headers"])]
            await send(message)

        await self.app(scope, receive, sending)


def _headers(scope: Scope, present: list[Header]) -> list[Header]:
    headers = [*ALWAYS, DOCS_POLICY if scope["path"] == "/docs" else API_POLICY]
    if not any(key.lower() == b"cache-control" for key, _ in present):
        headers.append(NO_STORE)
    if scope["scheme"] == "https":
        headers.append(HSTS)
    return headers
