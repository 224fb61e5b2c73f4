"""The last catch: whatever was raised below becomes a problem."""

import asyncio

from app.chassis.asgi import ASGIApp, Message, Receive, Scope, Send, respond
from app.chassis.errors import Unavailable
from app.chassis.problems import ProblemRenderer


class ErrorBoundary:
    """Answers with a problem for every exception that middleware or the framework let through."""

    def __init__(self, app: ASGIApp, problems: ProblemRenderer) -> None:
        self.app = app
        self.problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = finished = False

        async def sending(message: Message) -> None:
            nonlocal started, finished
            started = True
            finished = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:
            # The server is told to stop, and this request has had all the time that there is.
            if started:
                raise
            stopping = self.problems.render(Unavailable("The service is being stopped."), scope)
            await respond(send, stopping.status, stopping.body, stopping.raw_headers)
        except Exception as error:
            rendered = self.problems.render(error, scope)
            if started and not finished:
                # Half an answer is out: only a closed connection says that it is not whole.
                raise
            if not started:
                await respond(send, rendered.status, rendered.body, rendered.raw_headers)
