"""Password hashes: Argon2id, computed a few at a time beside the event loop."""

import secrets
from base64 import b64encode

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.chassis.auth.settings import AuthSettings
from app.chassis.errors import Unavailable

MOST_WAITING = 100


class Passwords:
    """Hashes and verifies passwords; at most `AUTH_HASHING_CONCURRENCY` at once.

    Each hash costs its memory, so those beyond wait; when too many do, `Unavailable` is raised.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._limiter = CapacityLimiter(settings.hashing_concurrency)
        self._nobody = self._hash_of_nobody(settings)

    async def hash(self, password: str) -> str:
        """Return a hash to store; it names its own salt and costs."""
        self._refuse_crowds()
        return await to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Compare; without a stored hash it takes the same time and is false."""
        self._refuse_crowds()
        known = stored or self._nobody
        return await to_thread.run_sync(self._matches, known, password, limiter=self._limiter)

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _refuse_crowds(self) -> None:
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Unavailable("Too many passwords are being checked at the moment.")

    @staticmethod
    def _hash_of_nobody(settings: AuthSettings) -> str:
        """Write a hash of today's costs that no password has."""
        salt, digest = (
            b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32)
        )
        costs = (
            f"m={settings.argon2_memory_kib},t={settings.argon2_time_cost}"
            f",p={settings.argon2_parallelism}"
        )
        return f"$argon2id$v=19${costs}${salt}${digest}"
