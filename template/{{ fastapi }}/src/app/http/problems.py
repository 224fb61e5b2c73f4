"""Maps what FastAPI and Starlette raise to the service's problems."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.chassis.errors import BadRequest, Problem, invalid_request, problem_for_status
from app.chassis.http import repeated_parameters
from app.chassis.problems import ProblemRenderer
from app.http.dependencies import as_response, service_of


def add_problem_handlers(api: FastAPI) -> None:
    """Answer every failure with `application/problem+json`."""
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(ClientDisconnect, _cut_off)
    api.add_exception_handler(Problem, _respond)
    api.add_exception_handler(Exception, _respond)


async def _respond(request: Request, error: Exception) -> Response:
    renderer = service_of(request).get(ProblemRenderer)
    return as_response(renderer.render(error, request.scope))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(entry["type"] == "json_invalid" for entry in errors):
        return await _respond(request, BadRequest("The body is not valid JSON."))
    of_query = any(entry["loc"][0] == "query" for entry in errors)
    repeated = repeated_parameters(request.scope) if of_query else ()
    return await _respond(request, invalid_request(errors, more=repeated))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.__cause__ is not None:
        return await _respond(request, _unreadable(error.__cause__))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    detail = None if error.status_code in (404, 405) else error.detail
    return await _respond(request, problem_for_status(error.status_code, detail, headers))


async def _cut_off(request: Request, error: Exception) -> Response:
    return await _respond(request, _unreadable(error))


def _unreadable(cause: BaseException) -> Problem:
    """Why the body could not be read: FastAPI keeps the true reason as the cause of its own."""
    if isinstance(cause, Problem):
        return cause
    if isinstance(cause, ClientDisconnect):
        return BadRequest("The body is not complete.")
    return BadRequest("The body is not valid JSON.")


def _allowed_methods(request: Request) -> set[str]:
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.fullmatch(request.scope["path"]):
            methods |= route.methods or set()
    return methods | ({"HEAD"} if "GET" in methods else set())
