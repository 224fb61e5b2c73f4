"""Cursors: a place in a sorted list, signed, and good only for the list that it was made for."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.errors import BadRequest
from app.chassis.settings import CoreSettings, Settings, check_secret

SIGNATURE_BYTES = 16
MAXIMUM_LENGTH = 2048


class PaginationSettings(Settings):
    """The key that cursors are signed with; the same in every replica."""

    model_config = SettingsConfigDict(env_prefix="PAGINATION_")

    secret: SecretStr | None = None

    def key(self, core: CoreSettings) -> bytes:
        """The signing key; outside production one that every replica on a laptop agrees on.

        Raises:
            ConfigurationError: in production, when the secret is missing or weak.
        """
        if core.in_production or self.secret is not None:
            return check_secret("PAGINATION_SECRET", self.secret).encode()
        return f"development:{about.SLUG}".encode()


class InvalidCursor(BadRequest):
    """The cursor was changed, cut, or made for another list. Start again without it."""

    slug, title = "invalid-cursor", "Invalid cursor"


@dataclass(frozen=True)
class Cursor:
    """The sort keys of the row to go on from, as text, and the direction to go."""

    values: tuple[str, ...]
    backwards: bool


class CursorCodec:
    """Signs cursors with HMAC-SHA-256 over their place and the list's own description."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, cursor: Cursor, listing: Mapping[str, object]) -> str:
        """Write a cursor that only the same `listing` (filters, order, caller) can read."""
        place = json.dumps([cursor.backwards, *cursor.values], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(place, listing) + place).rstrip(b"=").decode()

    def decode(self, text: str, listing: Mapping[str, object]) -> Cursor:
        """Read a cursor.

        Raises:
            InvalidCursor: it is not one that `encode` wrote for this listing.
        """
        try:
            if len(text) > MAXIMUM_LENGTH:
                raise InvalidCursor
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        signature, place = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text
        if not canonical or not hmac.compare_digest(signature, self._sign(place, listing)):
            raise InvalidCursor
        backwards, *values = json.loads(place)
        return Cursor(tuple(values), backwards)

    def _sign(self, place: bytes, listing: Mapping[str, object]) -> bytes:
        description = json.dumps(listing, sort_keys=True, default=str).encode()
        digest = hmac.new(self._key, place + b"\0" + description, hashlib.sha256)
        return digest.digest()[:SIGNATURE_BYTES]
