"""From a token to the caller: verified, still in good standing, and remembered for a moment."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from app.chassis.auth.principal import Principal
from app.chassis.auth.tokens import Claims, TokenVerifier

LARGEST_CACHE = 10_000

Standing = Callable[[Claims], Awaitable[frozenset[str]]]
"""Return the roles that the token's holder still has; raise `InvalidToken` if it was revoked."""


class Authenticator:
    """Tells whom a token speaks for.

    An answer is kept for `AUTH_REVOCATION_DELAY`: that long another replica may still accept a
    token that was revoked here, or a user that was disabled.
    """

    def __init__(self, verifier: TokenVerifier, standing: Standing, delay: timedelta) -> None:
        self._verifier = verifier
        self._standing = standing
        self._delay = delay.total_seconds()
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def authenticate(self, token: str) -> Principal:
        """Return the caller.

        Raises:
            InvalidToken: the token is not good, or no longer.
        """
        known, digest = self._known, hashlib.sha256(token.encode()).digest()
        good_until, principal = known.get(digest, (0.0, None))
        if principal is None or good_until <= time.time():
            claims = await self._verifier.verify(token)
            principal = Principal(claims.sub, claims.scopes, await self._standing(claims))
            if len(known) >= LARGEST_CACHE:
                known.clear()
            known[digest] = (min(time.time() + self._delay, claims.exp), principal)
        return principal

    def forget(self) -> None:
        """Ask again about every token: something was revoked.

        Answers that are on their way may be older than the revocation: they go where nobody looks.
        """
        self._known = {}
