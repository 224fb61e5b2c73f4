"""Whom a request counts for: the address that it comes from."""

import hashlib
import ipaddress

from app.chassis.asgi import Scope
from app.chassis.rate_limiting.policy import Policy
from app.chassis.rate_limiting.settings import RateLimitSettings
from app.chassis.service import Service


class Callers:
    """Tells callers apart by their network address, as the server or a trusted proxy saw it."""

    def __init__(self, service: Service) -> None:
        self._policy = service.get(RateLimitSettings).policy

    def of(self, scope: Scope) -> tuple[Policy, bytes]:
        """The policy for a request, and the key that it counts under."""
        client: tuple[str, int] | None = scope.get("client")
        network = network_of(client[0]) if client else ""
        return self._policy, hashlib.blake2b(network.encode(), digest_size=16).digest()


def network_of(address: str) -> str:
    """One customer's address; with IPv6 that is a whole /64 to choose from."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or f"{int(parsed) >> 64:x}::/64")
