"""What handlers ask for, and how they hand an answer back."""

# Litestar's responses are annotated in part.
# pyright: reportUnknownMemberType=false

from typing import Annotated, Any, TypeVar, cast

from litestar import Request, Response
from litestar.di import Provide
from litestar.exceptions import InternalServerException
from litestar.params import BodyKwarg, HeaderParameter
from litestar.response.base import ASGIResponse
from pydantic import BaseModel, ValidationError

from app.chassis.asgi import Scope
from app.chassis.conditional import Conditions
from app.chassis.errors import BadRequest, invalid_request
from app.chassis.http import (
    Rendered,
    ServerSettings,
    page_links,
    parse_json,
    query_of,
    repeated_parameters,
)
from app.chassis.listing.pages import PageLinks
from app.chassis.middleware.media_types import MERGE_PATCH
from app.chassis.service import Service

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

QUERY = "query"
"""Key of a handler's `opt` under which it names the model of its query."""

BODY = "app.body"
"""Key of the ASGI scope under which the parsed body waits for those who explain what is wrong."""


class JsonRequest(Request[Any, Any, Any]):
    """A request that says what is wrong with its body, and keeps what it parsed for later."""

    async def body(self) -> bytes:
        """Read the whole body."""
        try:
            body = await super().body()
        except InternalServerException:
            raise BadRequest("The body is not complete.") from None
        if not body and self.route_handler.parsed_data_field is not None:
            raise BadRequest("The body is empty.")
        return body

    async def json(self) -> Any:
        """Parse the body."""
        value = parse_json(await self.body())
        scope_of(self)[BODY] = value
        return value


def scope_of(request: Request[Any, Any, Any]) -> Scope:
    """The request as the middleware sees it."""
    return cast("Scope", request.scope)


def service_of(request: Request[Any, Any, Any]) -> Service:
    """The service that this application serves."""
    return request.app.state.service


def provided(kind: type[object]) -> Provide:
    """A dependency that hands a handler what a component provided as `kind`."""

    def resolve(request: Request[Any, Any, Any]) -> Any:
        return service_of(request).get(kind)

    return Provide(resolve, sync_to_thread=False)


def read_query(request: JsonRequest, model: type[M]) -> M:
    """Read the whole query as `model`, which the handler's `opt` names for the documentation.

    Raises:
        ValidationFailed: with everything that is wrong with the query.
    """
    scope = scope_of(request)
    try:
        return model.model_validate(dict(query_of(scope)))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise invalid_request(errors, "query", more=repeated_parameters(scope)) from None


def links_of(request: JsonRequest) -> PageLinks:
    """Links to the neighbours of the page that was asked for."""
    return page_links(scope_of(request), service_of(request).get(ServerSettings))


def _conditions(
    if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
    if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match")] = None,
) -> Conditions:
    return Conditions(if_match, if_none_match)


CONDITIONS = Provide(_conditions, sync_to_thread=False)
Prefer = Annotated[
    str | None, HeaderParameter(name="Prefer", description="`count=exact` adds the total.")
]
MergePatch = Annotated[T, BodyKwarg(media_type=MERGE_PATCH)]


class _RenderedResponse(Response[bytes]):
    """An answer that is what was rendered: Litestar would name the media type of nothing, too."""

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        response = super().to_asgi_response(*args, **kwargs)
        if not self.content:
            response.headers.pop("content-type", None)
        return response


def as_response(rendered: Rendered) -> Response[Any]:
    """Hand a rendered answer to Litestar."""
    return _RenderedResponse(rendered.body, status_code=rendered.status, headers=rendered.headers)
