"""Refuses requests for hosts that are not this service's, or that came without TLS."""

import re

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, header, header_values
from app.chassis.errors import BadRequest

EXEMPT = "/health/"
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
        self.any = "*" in allowed
        self.exact = frozenset(allowed)
        self.suffixes = tuple(host[1:] for host in allowed if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = header_values(scope, b"host")
        probe = scope["path"].startswith(EXEMPT)
        if len(given) != 1 and (given or not probe or scope["http_version"] != "1.0"):
            raise BadRequest("Send exactly one Host header.")
        if not probe:
            self._check(given)
            if self.only_https and header(scope, b"x-forwarded-proto") == "http":
                raise BadRequest("This service is reached over HTTPS only.")
        await self.app(scope, receive, send)

    def _check(self, given: list[bytes]) -> None:
        named = HOST.fullmatch(given[0])
        if named is None or int(named[2] or 0) > LAST_PORT:
            raise BadRequest("Host must be a name or an address, and a port.")
        host = named[1].decode().lower()
        if not (self.any or host in self.exact or host.endswith(self.suffixes or ("\0",))):
            raise BadRequest("This host is not served here.")
