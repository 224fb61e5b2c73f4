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


@dataclass(frozen=True)
class Precondition:
    """What a change is based on: one of `tags`, and none of `excluded`; None is any."""

    tags: frozenset[str] | None
    excluded: frozenset[str] | None = frozenset()

    def check(self, actual: int) -> None:
        """Raise `PreconditionFailed` if the resource has another version, or an excluded one."""
        tag = etag(actual)
        if self.tags is not None and tag not in self.tags:
            raise PreconditionFailed("The resource has another version now.")
        if self.excluded is None or tag in self.excluded:
            raise PreconditionFailed("The resource has a version that If-None-Match excludes.")


@dataclass(frozen=True)
class Conditions:
    """`If-Match` and `If-None-Match` as they were sent.

    Tags name a version in whichever content coding the client saw it. Those in `If-Match` are
    compared strongly, those in `If-None-Match` weakly.
    """

    if_match: str | None = None
    if_none_match: str | None = None

    def for_change(self) -> Precondition:
        """What a change must be based on.

        Raises:
            PreconditionRequired: `If-Match` is missing (RFC 6585).
            BadRequest: one of them is not a list of entity tags.
        """
        if self.if_match is None:
            raise PreconditionRequired("Name the version that you change, in If-Match.")
        tags = _listed("If-Match", self.if_match)
        if self.if_none_match is None:
            return Precondition(tags)
        excluded = _listed("If-None-Match", self.if_none_match)
        return Precondition(tags, excluded and frozenset(map(_weakly, excluded)))

    def not_modified(self, version: int) -> bool:
        """Whether a reader already has this version; what cannot be read names no version.

        Raises:
            PreconditionFailed: `If-Match` asks for another version.
        """
        if self.if_match is not None:
            Precondition(_named(self.if_match)).check(version)
        if self.if_none_match is None:
            return False
        known = _named(self.if_none_match)
        return known is None or etag(version) in map(_weakly, known)


def _listed(name: str, value: str) -> frozenset[str] | None:
    if value.strip() != "*" and not TAGS.fullmatch(value):
        raise BadRequest(f"{name} must hold entity tags in double quotes, or *.")
    return _named(value)


def _named(value: str) -> frozenset[str] | None:
    return None if value.strip() == "*" else frozenset(map(_plain, TAG.findall(value)))


def _weakly(tag: str) -> str:
    return tag.removeprefix("W/")


def _plain(tag: str) -> str:
    return (
        tag.removesuffix(VARIANT_SUFFIX + '"') + '"' if tag.endswith(f'{VARIANT_SUFFIX}"') else tag
    )
