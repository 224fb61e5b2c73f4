"""What handlers ask for, and how they hand an answer back."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Body, Depends, Header, Request, Response
from fastapi.routing import APIRoute

from app.chassis.conditional import Conditions
from app.chassis.errors import BadRequest
from app.chassis.http import Rendered, ServerSettings, page_links, parse_json
from app.chassis.listing.pages import PageLinks
from app.chassis.middleware.media_types import MERGE_PATCH
from app.chassis.service import Service

T = TypeVar("T")


class JsonRequest(Request):
    """A request whose body is read as JSON, and nothing but JSON."""

    async def body(self) -> bytes:
        """Read the whole body."""
        body = await super().body()
        if not body:
            raise BadRequest("The body is empty.")
        return body

    async def json(self) -> Any:
        """Parse the body."""
        return parse_json(await self.body())


class JsonRoute(APIRoute):
    """A route that reads its body as `JsonRequest` does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route its own kind of request, where it has a body to read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


def service_of(request: Request) -> Service:
    """The service that this application serves."""
    return request.app.state.service


def provided(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that hands a handler what a component provided as `kind`."""

    async def resolve(request: Request) -> T:
        return service_of(request).get(kind)

    return resolve


def links_of(request: Request) -> PageLinks:
    """Links to the neighbours of the page that was asked for."""
    return page_links(request.scope, service_of(request).get(ServerSettings))


async def _conditions(
    if_match: Annotated[str | None, Header(alias="If-Match")] = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Conditions:
    return Conditions(if_match, if_none_match)


Prefer = Annotated[str | None, Header(alias="Prefer", description="`count=exact` adds the total.")]
MergePatch = Annotated[T, Body(media_type=MERGE_PATCH)]
Conditional = Annotated[Conditions, Depends(_conditions)]


def as_response(rendered: Rendered) -> Response:
    """Hand a rendered answer to Starlette."""
    return Response(rendered.body, rendered.status, rendered.headers)
