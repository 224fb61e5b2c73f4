"""Conditional requests: entity tags from row versions, no lost updates (RFC 9110, 13)."""

import re
from dataclasses import dataclass

from app.chassis.errors import BadRequest, PreconditionFailed, PreconditionRequired
from app.chassis.middleware.compression import VARIANT_SUFFIX

TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
TAGS = re.compile(rf"[ \t,]*{TAG.pattern}(?:[ \t]*,[ \t,]*{TAG.pattern})*[ \t,]*")


def etag(version: int) -> str:
    """The strong entity tag of a resource's version."""
    return f'"{version}"'


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Whether the client already has this version, in whichever content coding."""
    if if_none_match is None:
        return False
    tags = {_plain(tag.removeprefix("W/")) for tag in TAG.findall(if_none_match)}
    return if_none_match.strip() == "*" or etag(version) in tags


@dataclass(frozen=True)
class Precondition:
    """The entity tags that a change may be based on; None is any."""

    tags: frozenset[str] | None

    def check(self, actual: int) -> None:
        """Raise `PreconditionFailed` unless the resource's version still has one of the tags."""
        if self.tags is not None and etag(actual) not in self.tags:
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
    if not TAGS.fullmatch(if_match):
        raise BadRequest("If-Match must hold entity tags in double quotes, or *.")
    return Precondition(frozenset(map(_plain, TAG.findall(if_match))))


def _plain(tag: str) -> str:
    return (
        tag.removesuffix(VARIANT_SUFFIX + '"') + '"' if tag.endswith(f'{VARIANT_SUFFIX}"') else tag
    )
