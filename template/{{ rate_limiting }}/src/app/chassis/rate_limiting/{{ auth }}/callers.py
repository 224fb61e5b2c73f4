"""Whom a request counts for: the principal, or the address that it comes from."""

import hashlib
from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.chassis.asgi import Scope
from app.chassis.auth.addresses import network_of
from app.chassis.auth.principal import current_principal
from app.chassis.rate_limiting.policy import FailurePolicy, Policy
from app.chassis.rate_limiting.settings import RateLimitSettings, Window
from app.chassis.service import Service
from app.chassis.settings import MOST, Settings

CREDENTIAL_ROUTES = frozenset({"/v1/users", "/v1/tokens", "/v1/token-revocations"})


class CredentialLimitSettings(Settings):
    """The stricter quota of the routes that take credentials, which are dear and guessed at."""

    model_config = SettingsConfigDict(env_prefix="RATE_LIMIT_CREDENTIALS_")

    quota: int = Field(default=300, ge=1, le=MOST)
    window: Window = timedelta(minutes=1)
    failure_policy: FailurePolicy = FailurePolicy.LOCAL


class Callers:
    """Tells callers apart by their `sub`, and strangers by their network address.

    At the routes that take credentials everybody is a stranger. The address is the one that the
    server or a trusted proxy saw.
    """

    def __init__(self, service: Service) -> None:
        strict = service.load(CredentialLimitSettings)
        self._policy = service.get(RateLimitSettings).policy
        self._credentials = Policy(
            "credentials", strict.quota, strict.window, strict.failure_policy
        )

    def of(self, scope: Scope) -> tuple[Policy, bytes]:
        """The policy for a request, and the key that it counts under."""
        if scope["path"] in CREDENTIAL_ROUTES:
            return self._credentials, _key("credentials", _network(scope))
        principal = current_principal()
        if principal is None:
            return self._policy, _key("address", _network(scope))
        return self._policy, _key("principal", principal.subject)


def _network(scope: Scope) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return network_of(client[0]) if client else ""


def _key(kind: str, caller: str) -> bytes:
    """A short key of constant length that does not name the caller."""
    return hashlib.blake2b(f"{kind}\0{caller}".encode(errors="replace"), digest_size=16).digest()
