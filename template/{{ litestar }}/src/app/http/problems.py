"""Maps what Litestar raises to the service's problems, and keeps it from being too helpful."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from litestar import Request, Response
from litestar.enums import ParamType, RequestEncodingType
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import BodyKwarg, ParameterKwarg
from litestar.typing import FieldDefinition
from litestar.utils import normalize_path
from msgspec import ValidationError as Refused
from pydantic import TypeAdapter, ValidationError

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, respond
from app.chassis.errors import NotFound, invalid_request, problem_for_status
from app.chassis.problems import ProblemRenderer
from app.http.dependencies import BODY, as_response, scope_of, service_of

Error = Mapping[str, Any]
Place = tuple[str, ...]
Handler = Callable[[Request[Any, Any, Any], Any], Response[Any]]

FORMS = (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)


def _respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    renderer = service_of(request).get(ProblemRenderer)
    return as_response(renderer.render(error, scope_of(request)))


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if isinstance(error, ValidationException) or isinstance(error.__cause__, Refused):
        return _invalid(request, error)
    if error.status_code >= 500:
        return _respond(request, error)
    headers = dict(error.headers or {})
    if "allow" in headers:
        allowed = _allowed_methods(headers["allow"])
        headers = {"Allow": ", ".join(allowed)}
        router = request.app.asgi_router
        *_, template = router.handle_routing(path=request.scope["path"], method=allowed[0])
        scope_of(request)["path_template"] = template
    detail = None if error.status_code in (404, 405) else error.detail
    return _respond(request, problem_for_status(error.status_code, detail, headers))


def _allowed_methods(listed: str) -> list[str]:
    methods = set(listed.split(", ")) - {"OPTIONS"}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _invalid(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """List every violation: Litestar stops at the first part of the request that has one.

    It also takes what a client sent for what a dependency returned where both have one name.
    """
    found = list(_violations(request)) or list(_as_litestar_sees_it(error))
    failed_inside = error.status_code >= 500 and not found
    return _respond(request, error if failed_inside else invalid_request(found))


def _violations(request: Request[Any, Any, Any]) -> Iterator[Error]:
    for place, field in _places(request):
        try:
            given = _given(request, place)
            TypeAdapter[Any](field.annotation).validate_python(given, from_attributes=True)
        except KeyError:
            if field.is_required:
                yield {"type": "missing", "loc": place, "msg": "Field required"}
        except ValidationError as error:
            for entry in error.errors(include_url=False):
                yield {**entry, "loc": (*place, *entry["loc"])}


def _places(request: Request[Any, Any, Any]) -> Iterator[tuple[Place, FieldDefinition]]:
    """Where each of the handler's parameters stands in the request; the body comes last."""
    body: list[tuple[Place, FieldDefinition]] = []
    for name, field in request.route_handler.parsed_fn_signature.parameters.items():
        kind = field.kwarg_definition
        if isinstance(kind, BodyKwarg) and kind.media_type not in FORMS:
            body.append((("body",), field))
        elif isinstance(kind, ParameterKwarg) and not field.is_di_field:
            yield (kind.param_type.value, kind.name or name), field
    yield from body


def _given(request: Request[Any, Any, Any], place: Place) -> Any:
    source, *name = place
    if source == "body":
        return scope_of(request)[BODY]
    values: Mapping[str, Any] = {
        ParamType.PATH: request.path_params,
        ParamType.QUERY: request.query_params,
        ParamType.HEADER: request.headers,
        ParamType.COOKIE: request.cookies,
    }[ParamType(source)]
    return values[name[0]]


def _as_litestar_sees_it(error: HTTPException) -> Iterator[Error]:
    """What remains: forms, and what Pydantic would have let pass."""
    of_model: list[Error] = getattr(error.__cause__, "errors", [])
    for entry in of_model:
        yield {**entry, "loc": ("body", *entry["loc"])}
    entries: Any = error.extra if isinstance(error.extra, list) and not of_model else []
    for entry in entries:
        place = (entry.get("source", "body"), *entry.get("key", "").split("."))
        yield {"type": "litestar", "loc": place, "msg": entry["message"]}


PROBLEM_HANDLERS: dict[int | type[Exception], Handler] = {
    HTTPException: _http_error,
    Exception: _respond,
}
"""Answer every failure with `application/problem+json`."""


class ExactRoutes:
    """Serves what the routes say and no more.

    Litestar takes `//v1/orders/` for `/v1/orders`, which rules that go by path do not, and it
    answers OPTIONS by itself; TRACE it refuses, as it does every method that a route lacks.
    """

    def __init__(self, app: ASGIApp, problems: ProblemRenderer) -> None:
        self.app = app
        self.problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] != normalize_path(scope["path"]):
            rendered = self.problems.render(NotFound(), scope)
            await respond(send, rendered.status, rendered.body, rendered.raw_headers)
        elif scope["method"] == "OPTIONS":
            scope["method"] = "TRACE"
            await self.app(scope, receive, send)
            scope["method"] = "OPTIONS"
        else:
            await self.app(scope, receive, send)
