"""Password hashes: Argon2id, computed a few at a time beside the event loop; bcrypt only read."""

import re
import secrets
import unicodedata
from base64 import b64encode

import bcrypt
from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.chassis.auth.settings import AuthSettings
from app.chassis.errors import Unavailable

MOST_WAITING = 100
LONGEST_PASSWORD = 128
# What comes behind tells no password that is allowed from one that is too long, and has a price.
SIGNIFICANT = LONGEST_PASSWORD + 1
MOST_COMPOSED = 4
"""As many characters become one at most when text is composed."""
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
BCRYPT_BYTES = 72
BCRYPT_DIGEST = 31


class Passwords:
    """Hashes and verifies passwords; at most `AUTH_HASHING_CONCURRENCY` at once.

    Each hash costs its memory, so those beyond wait; when too many do, `Unavailable` is raised.

    Users who came from another service may still have a bcrypt hash, which takes another time to
    compare. From the first of them on every failure takes the time of both.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._limiter = CapacityLimiter(settings.hashing_concurrency)
        self._nobody = self._hash_of_nobody(settings)
        self._legacy_nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Return a hash to store; it names its own salt and costs."""
        self._refuse_crowds()
        known = normalized(password)
        return await to_thread.run_sync(self._hasher.hash, known, limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Compare; without a stored hash it takes the same time and is false."""
        self._refuse_crowds()
        current, legacy = stored or self._nobody, self._legacy_nobody
        if found := BCRYPT.fullmatch(current):
            current, legacy = self._nobody, current
            self._legacy_nobody = _bcrypt_of_nobody(int(found[1]))
        known = normalized(password)
        return await to_thread.run_sync(
            self._matches, current, legacy, known, limiter=self._limiter
        )

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other costs than today's, or by another algorithm."""
        return BCRYPT.fullmatch(stored) is not None or self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, legacy: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return legacy is not None and _matches_bcrypt(legacy, password)

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


def normalized(password: str) -> str:
    """Write a password in one way, however it was typed: in NFC (NIST SP 800-63B-4, 3.1.1.2).

    Of one that is too long comes as much as shows that it is.
    """
    # Beforehand, too: it takes the square of the length.
    return unicodedata.normalize("NFC", password[: MOST_COMPOSED * SIGNIFICANT])[:SIGNIFICANT]


def _matches_bcrypt(stored: str, password: str) -> bool:
    """Compare as bcrypt always did: what is longer than 72 bytes is cut off."""
    try:
        return bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], stored.encode())
    except ValueError:
        return False


def _bcrypt_of_nobody(cost: int) -> str:
    """Write a hash of this cost that no password has."""
    return bcrypt.gensalt(cost).decode() + "." * BCRYPT_DIGEST
