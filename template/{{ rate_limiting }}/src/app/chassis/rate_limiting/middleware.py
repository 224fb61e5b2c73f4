"""Counts every request before the routes see it, and tells the caller what is left."""

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send
from app.chassis.health import is_probe
from app.chassis.rate_limiting.callers import Callers
from app.chassis.rate_limiting.errors import QuotaExceeded
from app.chassis.rate_limiting.headers import quota_headers
from app.chassis.rate_limiting.policy import Limiter


class RateLimiting:
    """Refuses requests beyond the caller's quota. Probes are not counted."""

    def __init__(self, app: ASGIApp, limiter: Limiter, callers: Callers) -> None:
        self.app = app
        self.limiter = limiter
        self.callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_probe(scope):
            await self.app(scope, receive, send)
            return
        verdict = await self.limiter.take(*self.callers.of(scope))
        if not verdict.admitted:
            raise QuotaExceeded(verdict)

        async def sending(message: Message) -> None:
            # A 429 from within is another limit's, with a time of its own to wait.
            if message["type"] == "http.response.start" and message["status"] != 429:
                message["headers"] = [*message["headers"], *quota_headers(verdict)]
            await send(message)

        await self.app(scope, receive, sending)
