"""The HTTP side of the service, apart from the framework: settings, problems and middleware."""

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, closing
from app.chassis.health import HealthChecks, HealthSettings
from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.listing.cursor import CursorCodec, PaginationSettings
from app.chassis.middleware.compression import Compression
from app.chassis.middleware.cors import CrossOrigin
from app.chassis.middleware.error_boundary import ErrorBoundary
from app.chassis.middleware.head_requests import HeadRequests
from app.chassis.middleware.hosts import AllowedHosts
from app.chassis.middleware.input_limits import InputLimits
from app.chassis.middleware.media_types import MediaTypes
from app.chassis.middleware.repeated_fields import RepeatedFields
from app.chassis.middleware.request_context import RequestContext, RouteOf
from app.chassis.middleware.security_headers import SecurityHeaders
from app.chassis.middleware.server_options import ServerOptions
from app.chassis.problems import ProblemRenderer
from app.chassis.service import Service
from app.chassis.versioning import ContentNegotiation, Deprecation, Deprecations


def add_health(service: Service) -> None:
    """Let the checks be as patient as the environment says."""
    service.checks.settings = service.load(HealthSettings)


def add_server(service: Service) -> None:
    """Provide the server's settings."""
    service.load(ServerSettings)


def add_http(service: Service) -> None:
    """Provide the HTTP settings, and the renderer of problems that follows them."""
    http = service.load(HttpSettings)
    service.provide(ProblemRenderer(service.get(ServerSettings), http))


def add_pagination(service: Service) -> None:
    """Provide the codec of cursors."""
    service.provide(CursorCodec(service.load(PaginationSettings).key(service.core)))


def with_middleware(
    app: ASGIApp, service: Service, route_of: RouteOf, planned: list[Deprecation]
) -> ASGIApp:
    """Wrap the framework's application; read from the bottom up, a request goes inwards."""
    server, http, framework = service.get(ServerSettings), service.get(HttpSettings), app
    for middleware in reversed(service.middleware):
        app = middleware(app)
    app = Compression(app, http.compress_from_bytes)
    app = RepeatedFields(app)
    app = MediaTypes(app, service.forms)
    app = ContentNegotiation(app)
    app = limits = InputLimits(app, http)
    service.provide(limits)
    app = Deprecations(app, planned)
    app = ServerOptions(app)
    app = AllowedHosts(app, server.allowed_hosts, only_https=server.is_public_over_https)
    app = ErrorBoundary(app, service.get(ProblemRenderer))
    app = HeadRequests(app)
    app = CrossOrigin(app, http.cors_origins, service.request_headers, service.response_headers)
    app = SecurityHeaders(app)
    app = RequestContext(app, route_of)
    return _Dispatcher(app, framework, service.checks)


class _Dispatcher:
    """Sends requests through the middleware, start-up and shutdown to the framework.

    While the service is draining each answer ends its connection: a balancer that no longer picks
    this instance for new connections may go on with those that it has.
    """

    def __init__(self, http: ASGIApp, framework: ASGIApp, checks: HealthChecks) -> None:
        self.http = http
        self.framework = framework
        self.checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.http(scope, receive, closing(send) if self.checks.draining else send)
        else:
            await self.framework(scope, receive, send)
