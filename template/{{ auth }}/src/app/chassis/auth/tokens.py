"""Access tokens: JWTs of RFC 9068, minted for fifteen minutes at most, verified to the letter."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import jwt
from jwt.api_jws import PyJWS
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import about
from app.chassis.auth.errors import InvalidToken
from app.chassis.auth.keys import UNNAMED, KeyRing, KeySource, VerificationKey
from app.chassis.identifiers import new_id

TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
LONGEST_TOKEN = 8192
LONGEST_KID = 256
YEAR_10000 = 253_402_300_800
# Three parts without padding (RFC 7515, 7.1); a lenient decoder reads more texts than that.
COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_JWS = PyJWS()

Timestamp = Annotated[float, Field(ge=0, lt=YEAR_10000)]
"""Seconds since 1970, fractions allowed (RFC 7519, 2)."""

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An identifier that can be stored and logged."""


class Claims(BaseModel):
    """The claims that this service relies on; each has the type that the RFC gives it."""

    model_config = ConfigDict(strict=True, frozen=True)

    iss: str
    sub: Name
    aud: str | list[str]
    exp: Timestamp
    iat: Timestamp
    nbf: Timestamp | None = None
    jti: Name
    sid: str | None = None
    scope: str | list[str] = ""
    scp: str | list[str] = ""
    roles: list[str] = []

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes, whichever of the two usual claims and forms they came in."""
        given = self.scope or self.scp
        return frozenset(given.split() if isinstance(given, str) else given)

    @property
    def audiences(self) -> list[str]:
        """Whom the token is meant for."""
        return [self.aud] if isinstance(self.aud, str) else self.aud


def media_type(written: str) -> str:
    """A media type as `typ` is compared: lower case, without `application/` (RFC 7515, 4.1.9)."""
    return written.lower().removeprefix("application/")


@dataclass(frozen=True)
class AccessTokens:
    """Mints access tokens with the ring's first key."""

    keys: KeyRing
    issuer: str
    audience: str
    ttl: timedelta

    def mint(self, subject: str, session: str, scope: str, roles: Iterable[str]) -> str:
        """Make a token for a user; `session` ties it to the refresh token it came with."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": self.audience,
            "client_id": about.SLUG,
            "iat": now,
            "exp": now + int(self.ttl.total_seconds()),
            "jti": str(new_id()),
            "sid": session,
            "scope": scope,
            "roles": list(roles),
        }
        headers = {"kid": self.keys.current.kid, "typ": TOKEN_TYPE}
        return jwt.encode(claims, self.keys.signing, self.keys.current.algorithm, headers)


@dataclass(frozen=True)
class TokenVerifier:
    """Accepts tokens of one issuer for one audience, signed as their key demands, within time."""

    keys: KeySource
    issuer: str
    audience: str
    leeway: timedelta
    types: frozenset[str] = frozenset({TOKEN_TYPE})

    async def verify(self, token: str) -> Claims:
        """Return the claims of a good token.

        Raises:
            InvalidToken: it is not one; the reason does not help to make one.
        """
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken("The access token is too long.")
        if not COMPACT.fullmatch(token):
            raise InvalidToken
        key = await self._key(token)
        try:
            payload = _JWS.decode_complete(token, key.public, [key.algorithm])["payload"]
            claims = Claims.model_validate_json(payload)
        except (jwt.PyJWTError, ValidationError, ValueError, TypeError):
            raise InvalidToken from None
        self._check(claims)
        return claims

    async def _key(self, token: str) -> VerificationKey:
        """Find the key that the header names, before anything else of the token is believed."""
        try:
            header = _JWS.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise InvalidToken from None
        kind, kid = header.get("typ"), header.get("kid", UNNAMED)
        if not isinstance(kind, str) or media_type(kind) not in self.types:
            raise InvalidToken
        is_named = isinstance(kid, str) and (kid != UNNAMED or "kid" not in header)
        if "crit" in header or not is_named or len(kid) > LONGEST_KID:
            raise InvalidToken
        key = await self.keys.find(kid)
        if key is None or header.get("alg") != key.algorithm:
            raise InvalidToken
        return key

    def _check(self, claims: Claims) -> None:
        now, leeway = time.time(), self.leeway.total_seconds()
        if claims.iss != self.issuer or self.audience not in claims.audiences:
            raise InvalidToken
        if claims.exp + leeway <= now:
            raise InvalidToken("The access token has expired.")
        if max(claims.iat, claims.nbf or claims.iat) - leeway > now:
            raise InvalidToken("The access token is not valid yet.")
