"""Refuses requests for hosts that are not this service's, or that came without TLS."""

import re

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, header, header_values
from app.chassis.errors import BadRequest
from app.chassis.health import is_probe
from app.chassis.http import is_among

HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::([0-9]{0,5}))?")
LAST_PORT = 65535


class AllowedHosts:
    """Checks `Host`, so that no link and no cache key is ever made from a forged one.

    Where the service's own address is one of HTTPS, a request that a proxy says came without is
    refused: redirected, a client would go on to send its secrets in the clear (OWASP ASVS V4.1.2).
    Probes are exempt: an orchestrator calls them by the instance's own address.
    """

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...], *, only_https: bool) -> None:
        self.app = app
        self.only_https = only_https
        self.allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = header_values(scope, b"host")
        probe = is_probe(scope)
        if len(given) != 1 and (given or not probe or scope["http_version"] != "1.0"):
            raise BadRequest("Send exactly one Host header.")
        if not probe:
            self._check(given)
            if self.only_https and _came_without_tls(scope):
                raise BadRequest("This service is reached over HTTPS only.")
        await self.app(scope, receive, send)

    def _check(self, given: list[bytes]) -> None:
        named = HOST.fullmatch(given[0])
        if named is None or int(named[2] or 0) > LAST_PORT:
            raise BadRequest("Host must be a name or an address, and a port.")
        host = named[1].decode().lower()
        if not is_among(host, self.allowed):
            raise BadRequest("This host is not served here.")


def _came_without_tls(scope: Scope) -> bool:
    """Whether a proxy names anything but HTTPS, be it for one of several hops."""
    schemes = header(scope, b"x-forwarded-proto")
    return schemes is not None and any(
        scheme.strip().lower() != "https" for scheme in schemes.split(",")
    )
