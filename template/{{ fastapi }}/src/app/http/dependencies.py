"""What handlers ask for, and how they hand an answer back."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Body, Depends, Header, Request, Response

from app.chassis.http import Rendered, ServerSettings, page_links
from app.chassis.listing.pages import PageLinks
from app.chassis.middleware.media_types import MERGE_PATCH
from app.chassis.service import Service

T = TypeVar("T")


def service_of(request: Request) -> Service:
    """The service that this application serves."""
    return request.app.state.service


def provided(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that hands a handler what a component provided as `kind`."""

    async def resolve(request: Request) -> T:
        return service_of(request).get(kind)

    return resolve


async def _links(request: Request) -> PageLinks:
    return page_links(request.scope, service_of(request).get(ServerSettings))


IfMatch = Annotated[str | None, Header(alias="If-Match")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
Prefer = Annotated[str | None, Header(alias="Prefer", description="`count=exact` adds the total.")]
MergePatch = Annotated[T, Body(media_type=MERGE_PATCH)]
Links = Annotated[PageLinks, Depends(_links)]


def as_response(rendered: Rendered) -> Response:
    """Hand a rendered answer to Starlette."""
    return Response(rendered.body, rendered.status, rendered.headers)
