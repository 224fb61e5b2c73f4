"""Conditional requests: entity tags from row versions, no lost updates (RFC 9110, 13)."""

import re
from dataclasses import dataclass

from app.chassis.errors import BadRequest, PreconditionFailed, PreconditionRequired
from app.chassis.middleware.compression import VARIANT_SUFFIX

TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
VERSION = re.compile(r'"([0-9]{1,9})"')


def etag(version: int) -> str:
    """The strong entity tag of a resource's version."""
    return f'"{version}"'


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Whether the client already has this version, in whichever content coding."""
    if if_none_match is None:
        return False
    tags = {_plain(tag.strip().removeprefix("W/")) for tag in if_none_match.split(",")}
    return "*" in tags or etag(version) in tags


@dataclass(frozen=True)
class Precondition:
    """The versions that a change may be based on; None is any."""

    versions: frozenset[int] | None

    def check(self, actual: int) -> None:
        """Raise `PreconditionFailed` unless the resource still has one of the versions."""
        if self.versions is not None and actual not in self.versions:
            raise PreconditionFailed("The resource has another version now.")


def precondition(if_match: str | None) -> Precondition:
    """Read `If-Match`, compared strongly, in whichever content coding the client saw the resource.

    Raises:
        PreconditionRequired: the header is missing (RFC 6585).
        BadRequest: it is not a list of entity tags.
    """
    if if_match is None:
        raise PreconditionRequired("Name the version that you change, in If-Match.")
    if if_match.strip() == "*":
        return Precondition(None)
    tags = [tag.strip() for tag in if_match.split(",")]
    if not all(TAG.fullmatch(tag) for tag in tags):
        raise BadRequest("If-Match must hold entity tags in double quotes, or *.")
    versions = (VERSION.fullmatch(_plain(tag)) for tag in tags)
    return Precondition(frozenset(int(version[1]) for version in versions if version))


def _plain(tag: str) -> str:
    return (
        tag.removesuffix(VARIANT_SUFFIX + '"') + '"' if tag.endswith(f'{VARIANT_SUFFIX}"') else tag
    )
