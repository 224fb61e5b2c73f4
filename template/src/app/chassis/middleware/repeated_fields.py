"""Header fields that are lists may come on several lines (RFC 9110, 5.3)."""

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, header

LISTS = frozenset({b"if-match", b"if-none-match", b"prefer"})


class RepeatedFields:
    """Joins the lines of such a field into one, as frameworks read only one of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = [name for name, _ in scope["headers"] if name in LISTS]
        if len(sent) > len(set(sent)):
            scope["headers"] = _joined(scope)
        await self.app(scope, receive, send)


def _joined(scope: Scope) -> list[tuple[bytes, bytes]]:
    lists = {name for name, _ in scope["headers"] if name in LISTS}
    others = [field for field in scope["headers"] if field[0] not in lists]
    return others + [(name, (header(scope, name) or "").encode("latin-1")) for name in lists]
