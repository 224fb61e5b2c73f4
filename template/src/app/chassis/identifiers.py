"""Identifiers: opaque, unique without coordination, and in the order of their making."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): index-friendly, and it reveals no count."""
    return uuid7()
