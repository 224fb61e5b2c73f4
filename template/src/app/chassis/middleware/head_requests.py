"""HEAD for every GET: the same headers, no body (RFC 9110, 9.3.2)."""

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Lets the framework answer HEAD as it answers GET, and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            # The server looks here to know that no body follows the declared length.
            scope["method"] = "HEAD"
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        scope["method"] = "GET"
        await self.app(scope, receive, sending)
