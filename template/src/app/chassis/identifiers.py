"""Identifiers: opaque, unique without coordination, and in the order of their making."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator
from uuid_utils.compat import uuid7

_WRITTEN = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): index-friendly, and it reveals no count."""
    return uuid7()


def _plain(value: object) -> object:
    if isinstance(value, str) and not _WRITTEN.fullmatch(value):
        raise ValueError("must be a UUID, such as 019aa5f0-7c3e-7d43-9a4b-1f0c5f0e8a11")
    return value


Id = Annotated[UUID, BeforeValidator(_plain)]
"""An identifier in a request: not in braces and no URN, which Pydantic would read as well."""
