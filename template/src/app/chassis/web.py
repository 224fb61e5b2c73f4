"""The HTTP side of the service, apart from the framework: settings, problems and middleware."""

from app.chassis.asgi import ASGIApp
from app.chassis.health import HealthSettings
from app.chassis.http import HttpSettings, ServerSettings
from app.chassis.listing.cursor import CursorCodec, PaginationSettings
from app.chassis.middleware.compression import Compression
from app.chassis.middleware.cors import CrossOrigin
from app.chassis.middleware.error_boundary import ErrorBoundary
from app.chassis.middleware.head_requests import HeadRequests
from app.chassis.middleware.hosts import AllowedHosts
from app.chassis.middleware.input_limits import InputLimits
from app.chassis.middleware.media_types import MediaTypes
from app.chassis.middleware.request_context import RequestContext, RouteOf
from app.chassis.middleware.security_headers import SecurityHeaders
from app.chassis.problems import ProblemRenderer
from app.chassis.service import Service
from app.chassis.versioning import ContentNegotiation, Deprecation, Deprecations


def add_web(service: Service) -> None:
    """Provide what every route relies on."""
    server, http = service.load(ServerSettings), service.load(HttpSettings)
    service.checks.settings = service.load(HealthSettings)
    service.provide(ProblemRenderer(server, http))
    key = service.load(PaginationSettings).key(service.core)
    service.provide(CursorCodec(key))


def with_middleware(
    app: ASGIApp, service: Service, route_of: RouteOf, planned: list[Deprecation]
) -> ASGIApp:
    """Wrap the framework's application; read from the bottom up, a request goes inwards."""
    server, http = service.get(ServerSettings), service.get(HttpSettings)
    for middleware in reversed(service.middleware):
        app = middleware(app)
    app = Compression(app, http.compress_from_bytes)
    app = Deprecations(app, planned)
    app = MediaTypes(app, service.forms)
    app = ContentNegotiation(app)
    app = HeadRequests(app)
    app = InputLimits(app, http)
    app = AllowedHosts(app, server.allowed_hosts)
    app = ErrorBoundary(app, service.get(ProblemRenderer))
    app = CrossOrigin(app, http.cors_origins)
    app = SecurityHeaders(app)
    return RequestContext(app, route_of)
