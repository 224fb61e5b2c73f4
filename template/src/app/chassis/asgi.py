"""The ASGI types, and the few things that every middleware does with headers."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

MOST_ELEMENTS = 100
"""Of a header field that is a list: each costs time, and no client has so many."""


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a request header; `name` in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a request header, its repetitions joined by commas (RFC 9110, 5.3)."""
    values = header_values(scope, name)
    return b", ".join(values).decode("latin-1") if values else None


def elements(value: str) -> list[str]:
    """The elements of a header field that is a list; of a list beyond all use the first ones."""
    return value.split(",", MOST_ELEMENTS)[:MOST_ELEMENTS]


def with_headers(send: Send, headers: Iterable[Header]) -> Send:
    """Add `headers` to the response's start."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return sending


def closing(send: Send) -> Send:
    """Let the response be the last on its connection."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [item for item in message["headers"] if item[0].lower() != b"connection"]
            message["headers"] = [*others, (b"connection", b"close")]
        await send(message)

    return sending


def add_vary(headers: list[Header], name: bytes) -> None:
    """Name one more request header that the response depends on, in the one `Vary` header."""
    for index, (key, value) in enumerate(headers):
        if key.lower() == b"vary":
            if name.lower() not in {known.strip().lower() for known in value.split(b",")}:
                headers[index] = (b"vary", value + b", " + name)
            return
    headers.append((b"vary", name))


async def respond(
    send: Send, status: int, body: bytes, headers: Iterable[Header], *, head: bool = False
) -> None:
    """Send a whole response; for HEAD the body is left out and its length kept."""
    sent = list(headers)
    if status != 204:  # which has none (RFC 9110, 8.6)
        sent.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if head else body})
