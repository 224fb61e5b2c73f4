"""Holds every request against the access table before anything of its body is read."""

from typing import cast

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from app.access import ACCESS
from app.chassis import asgi
from app.chassis.auth.rules import authorize, check_complete


def guard(app: ASGIApp) -> ASGIApp:
    """Put the access table before whichever route Litestar has found.

    As middleware and not as one of its guards, which it runs in a thread for every request.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        request = cast("asgi.Scope", scope)
        authorize(ACCESS[request["method"], request["path_template"]], request)
        await app(scope, receive, send)

    return guarded


def check_routes(api: Litestar) -> None:
    """Refuse to serve a route that has no rule.

    Raises:
        RouteWithoutRule: a route is missing from the access table.
    """
    routes = (route for route in api.routes if isinstance(route, HTTPRoute))
    found = ((method, route.path_format) for route in routes for method in route.methods)
    # Litestar adds OPTIONS, which the service does not serve.
    check_complete(ACCESS, (pair for pair in found if pair[0] != "OPTIONS"))
