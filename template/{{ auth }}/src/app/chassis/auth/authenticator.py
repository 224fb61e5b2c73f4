"""From a token to the caller: verified, in good standing or not, and remembered."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from app.chassis.auth.errors import InvalidToken
from app.chassis.auth.principal import Principal
from app.chassis.auth.settings import LONGEST_LEEWAY
from app.chassis.auth.tokens import Claims, TokenVerifier

LARGEST_CACHE = 10_000

Standing = Callable[[Claims], Awaitable[frozenset[str] | None]]
"""Return the roles that the token's holder still has; None if it was revoked for good."""


class Authenticator:
    """Tells whom a token speaks for.

    That a token is good is kept for `AUTH_REVOCATION_DELAY`: that long another process may still
    accept a token that was revoked here, or a user that was disabled. That it was revoked is kept
    until it has expired.
    """

    def __init__(self, verifier: TokenVerifier, standing: Standing, delay: timedelta) -> None:
        self._verifier = verifier
        self._standing = standing
        self._delay = delay.total_seconds()
        self._known: dict[bytes, tuple[float, Principal | None]] = {}

    async def authenticate(self, token: str) -> Principal:
        """Return the caller.

        Raises:
            InvalidToken: the token is not good, or no longer.
        """
        known, digest = self._known, hashlib.sha256(token.encode()).digest()
        kept_until, principal = known.get(digest, (0.0, None))
        if kept_until <= time.time():
            kept_until, principal = await self._ask(token)
            if len(known) >= LARGEST_CACHE:
                known.clear()
            known[digest] = kept_until, principal
        if principal is None:
            raise InvalidToken("The access token was revoked.")
        return principal

    async def _ask(self, token: str) -> tuple[float, Principal | None]:
        """Return the caller, None where the token was revoked, and how long that is kept."""
        claims = await self._verifier.verify(token)
        roles = await self._standing(claims)
        if roles is None:
            return claims.exp + LONGEST_LEEWAY.total_seconds(), None
        good_until = min(time.time() + self._delay, claims.exp)
        return good_until, Principal(claims.sub, claims.scopes, roles)

    def forget(self) -> None:
        """Ask again about every token: something was revoked.

        Answers that are on their way may be older than the revocation: they go where nobody looks.
        """
        self._known = {}
