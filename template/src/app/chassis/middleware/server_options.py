"""`OPTIONS *`: a question about the server as a whole (RFC 9110, 9.3.7)."""

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, respond
from app.chassis.errors import BadRequest
from app.chassis.middleware.cors import METHODS


class ServerOptions:
    """Answers with the methods that routes may have; `*` is no target of any other method."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "*":
            await self.app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await respond(send, 204, b"", ((b"allow", METHODS),))
        else:
            raise BadRequest("Only OPTIONS is about the server as a whole.")
