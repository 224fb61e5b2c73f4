"""Holds every request against the access table before anything of its body is read."""

from typing import Any, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from app.access import ACCESS
from app.chassis.asgi import Scope
from app.chassis.auth.rules import authorize, check_complete


def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Let the request pass or raise."""
    scope = cast("Scope", connection.scope)
    authorize(ACCESS[scope["method"], scope["path_template"]], scope)


def check_routes(api: Litestar) -> None:
    """Refuse to serve a route that has no rule.

    Raises:
        RouteWithoutRule: a route is missing from the access table.
    """
    routes = (route for route in api.routes if isinstance(route, HTTPRoute))
    found = ((method, route.path_format) for route in routes for method in route.methods)
    # Litestar adds OPTIONS, which the service does not serve.
    check_complete(ACCESS, (pair for pair in found if pair[0] != "OPTIONS"))
