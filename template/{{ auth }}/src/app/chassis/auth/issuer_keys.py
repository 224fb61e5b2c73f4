"""The keys of an external OpenID provider, fetched from where it publishes them."""

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import structlog
from anyio import to_thread
from jwt import PyJWK, PyJWTError

from app.chassis.auth.keys import PublicKey, UnusableKey, VerificationKey, algorithm_of
from app.chassis.auth.settings import AuthSettings
from app.chassis.errors import Unavailable

LARGEST_DOCUMENT = 1_048_576
ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA"})

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


class IssuerKeys:
    """Keeps the issuer's keys, and fetches them again when they are old or an id is unknown.

    However many tokens name unknown keys, there is one fetch per `AUTH_ISSUER_COOLDOWN`. Keys stay
    good while the issuer cannot be reached.
    """

    def __init__(self, issuer: str, settings: AuthSettings) -> None:
        self._issuer = issuer
        self._timeout = settings.issuer_timeout.total_seconds()
        self._cooldown = settings.issuer_cooldown.total_seconds()
        self._ttl = settings.issuer_keys_ttl.total_seconds()
        self._keys: dict[str, VerificationKey] | None = None
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._location: str | None = None

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the issuer's key with this id, or None where it has none.

        Raises:
            Unavailable: the issuer's keys could not be fetched even once.
        """
        if self._is_due(kid):
            async with self._fetching:
                if self._is_due(kid):
                    await self._refresh()
        if self._keys is None:
            raise Unavailable("The issuer of the access tokens cannot be reached.")
        return self._keys.get(kid)

    def _is_due(self, kid: str) -> bool:
        age = time.monotonic() - self._tried_at
        missing = self._keys is None or kid not in self._keys
        return age > self._ttl or (missing and age > self._cooldown)

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            self._keys = await to_thread.run_sync(self._fetch)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("issuer_keys_not_fetched", error=type(error).__name__)

    def _fetch(self) -> dict[str, VerificationKey]:
        if self._location is None:
            self._location = self._discover()
        entries = self._get(self._location)["keys"]
        keys = (_verification_key(entry) for entry in entries)
        return {key.kid: key for key in keys if key is not None}

    def _discover(self) -> str:
        """Find the key set: OpenID discovery, else the usual place."""
        base = self._issuer.rstrip("/")
        try:
            document = self._get(f"{base}/.well-known/openid-configuration")
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return f"{base}/.well-known/jwks.json"
        if document["issuer"] != self._issuer:
            raise ValueError("the discovery document belongs to another issuer")
        return str(document["jwks_uri"])

    def _get(self, url: str) -> dict[str, Any]:
        if not url.startswith(("https://", "http://")):
            raise ValueError("neither https nor http")
        request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked above
        with urlopen(request, timeout=self._timeout) as response:  # noqa: S310 - checked above
            return json.loads(response.read(LARGEST_DOCUMENT))


def _verification_key(entry: dict[str, Any]) -> VerificationKey | None:
    """Read one key; a kind that this service does not know is passed over."""
    try:
        if entry.get("use", "sig") != "sig":
            return None
        public = cast("PublicKey", PyJWK(entry).key)
        algorithm = str(entry.get("alg") or algorithm_of(public))
        if algorithm not in ALGORITHMS:
            return None
        return VerificationKey(str(entry["kid"]), algorithm, public)
    except (PyJWTError, UnusableKey, KeyError, TypeError):
        return None
