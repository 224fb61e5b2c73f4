"""Holds every request against the access table before anything of its body is read."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from app.access import ACCESS
from app.chassis.asgi import ASGIApp, Receive, Scope, Send
from app.chassis.auth.rules import Rule, authorize, check_complete


def guard(api: FastAPI) -> None:
    """Put a guard before every route.

    Raises:
        RouteWithoutRule: a route is missing from the access table.
    """
    routes = list(_routes(api))
    check_complete(ACCESS, ((method, route.path) for route in routes for method in _methods(route)))
    for route in routes:
        rules = {method: ACCESS[method, route.path] for method in _methods(route)}
        if not isinstance(route.handle, Guarded):
            route.handle = Guarded(route.handle, rules)


class Guarded:
    """A route that is entered only by those whom its rule lets in."""

    def __init__(self, handle: ASGIApp, rules: dict[str, Rule]) -> None:
        self.handle = handle
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Another method than the route's is no secret: the route itself answers 405.
        if rule := self.rules.get(scope["method"]):
            authorize(rule, scope)
        await self.handle(scope, receive, send)


def _routes(api: FastAPI) -> Iterator[Route]:
    for context in iter_route_contexts(api.routes):
        assert isinstance(context.original_route, Route)
        yield context.original_route


def _methods(route: Route) -> set[str]:
    return (route.methods or set()) - {"HEAD"}
