"""The keys of an external OpenID provider, fetched from where it publishes them."""

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any, cast

import httpx2
import structlog
from anyio import to_thread
from jwt import PyJWK

from app.chassis.auth.keys import UNNAMED, PublicKey, VerificationKey, algorithm_of
from app.chassis.auth.settings import AuthSettings
from app.chassis.errors import Unavailable

LARGEST_DOCUMENT = 1_048_576
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
FAILURES = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
)
"""What comes of an issuer that cannot be reached, or sends something else than its keys."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


class IssuerKeys:
    """Keeps the issuer's keys, and fetches them again when they are old or an id is unknown.

    However many tokens name unknown keys, there is one fetch per `AUTH_ISSUER_COOLDOWN`. Keys stay
    good while the issuer cannot be reached, and while they are fetched again nobody waits for it
    but the one request that began it.
    """

    def __init__(self, issuer: str, settings: AuthSettings) -> None:
        self._issuer = issuer
        self._timeout = settings.issuer_timeout.total_seconds()
        self._cooldown = settings.issuer_cooldown.total_seconds()
        self._ttl = settings.issuer_keys_ttl.total_seconds()
        self._schemes = ("https://",) if issuer.startswith("https:") else ("https://", "http://")
        self._keys: dict[str, VerificationKey] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        # It follows no redirect: only the issuer itself says where its keys are. How long a fetch
        # may take is a matter of all that it consists of, and not of each read.
        self._http = httpx2.AsyncClient(
            headers=HEADERS, timeout=None, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the issuer's key with this id, or None where it has none.

        Its only key needs no id (OpenID Connect Core, 10.1).

        Raises:
            Unavailable: the issuer's keys could not be fetched even once.
        """
        is_known = self._keys is not None and kid in self._keys
        if self._is_due(kid) and not (is_known and self._fetching.locked()):
            async with self._fetching:
                if self._is_due(kid):
                    await self._refresh()
        if self._keys is None:
            raise Unavailable("The issuer of the access tokens cannot be reached.")
        return self._keys.get(kid)

    def _is_due(self, kid: str) -> bool:
        now = time.monotonic()
        missing = self._keys is None or kid not in self._keys
        is_old = now - self._fetched_at > self._ttl
        return (missing or is_old) and now - self._tried_at > self._cooldown

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                self._keys = await self._fetch()
            self._fetched_at = self._tried_at
        except FAILURES as error:
            log.warning("issuer_keys_not_fetched", error=type(error).__name__)

    async def _fetch(self) -> dict[str, VerificationKey]:
        # Where they are is asked each time: they may have moved, and still be at the old place.
        document = await self._get(await self._discover())
        return await to_thread.run_sync(_verification_keys, document)

    async def _discover(self) -> str:
        """Find the key set: OpenID discovery, else the usual place."""
        base = self._issuer.rstrip("/")
        try:
            document = await self._get(f"{base}/.well-known/openid-configuration")
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
            return f"{base}/.well-known/jwks.json"
        if document["issuer"] != self._issuer:
            raise ValueError("the discovery document belongs to another issuer")
        return str(document["jwks_uri"])

    async def _get(self, url: str) -> dict[str, Any]:
        if not url.startswith(self._schemes):
            raise ValueError("https leads to https only")
        body = b""
        async with self._http.stream("GET", url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_DOCUMENT:
                    raise ValueError("too large")
        return json.loads(body)


def _verification_keys(document: dict[str, Any]) -> dict[str, VerificationKey]:
    entries = document["keys"]
    if not isinstance(entries, list):
        raise TypeError("no list of keys")
    keys = [_verification_key(entry) for entry in cast("list[Any]", entries)]
    named = {key.kid: key for key in keys if key is not None and key.kid != UNNAMED}
    only = keys[0] if len(keys) == 1 else None
    return named if only is None else {**named, UNNAMED: only}


def _verification_key(entry: dict[str, Any]) -> VerificationKey | None:
    """Read one key; a kind that this service does not know is passed over."""
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ("verify",)):
            return None
        public = cast("PublicKey", PyJWK(entry).key)
        usual, algorithm = algorithm_of(public), entry.get("alg")
        if algorithm not in (None, usual) and (usual, algorithm) != ("RS256", "PS256"):
            return None
        return VerificationKey(str(entry.get("kid", UNNAMED)), str(algorithm or usual), public)
    except Exception:  # noqa: BLE001 - whatever is wrong with one, the others are good
        return None
