"""The two kinds of page, and the links between them."""

import re
from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")

DEFAULT_LIMIT = 20
MAXIMUM_LIMIT = 100
MAXIMUM_OFFSET = 10_000

QUOTED = '"[^"]*"'
PREFERENCE = re.compile(
    rf"(?P<name>[^\s=;,\"]+)\s*(?:=\s*(?P<value>{QUOTED}|[^\s;,\"]*))?"
    rf"(?:[^,\"]|{QUOTED})*"
)
"""One preference of RFC 7240, with its parameters."""


def _digits(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) is None:
        raise ValueError("must be a whole number")
    return value


def _within_reach(value: int) -> int:
    if value > MAXIMUM_OFFSET:
        raise ValueError(f"must be {MAXIMUM_OFFSET} or less: the list is not read any further")
    return value


Limit = Annotated[int, Field(ge=1, le=MAXIMUM_LIMIT), BeforeValidator(_digits)]
Offset = Annotated[
    int,
    Field(ge=0, json_schema_extra={"maximum": MAXIMUM_OFFSET}),
    BeforeValidator(_digits),
    AfterValidator(_within_reach),
]


class OffsetQuery(BaseModel):
    """Offset pagination: for short lists, as its cost grows with the offset."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = DEFAULT_LIMIT
    offset: Offset = 0


class Cursors(BaseModel):
    """Cursors of the neighbouring pages; absent where there is none."""

    next: str | None = None
    prev: str | None = None


class CursorPage(BaseModel, Generic[T]):
    """One page of a list that is walked by cursor."""

    items: list[T]
    cursors: Cursors
    next: str | None = Field(default=None, description="Absolute URI of the next page.")
    prev: str | None = Field(default=None, description="Absolute URI of the previous page.")

    @classmethod
    def of(
        cls, items: list[T], links: "PageLinks", *, after: str | None, before: str | None
    ) -> "CursorPage[T]":
        """A page with its neighbours' cursors, and their links."""
        return cls(
            items=items,
            cursors=Cursors(next=after, prev=before),
            next=links.at_cursor(after),
            prev=links.at_cursor(before),
        )


class OffsetPage(BaseModel, Generic[T]):
    """One page of a list that is walked by offset; `total` only with `Prefer: count=exact`."""

    items: list[T]
    offset: int
    limit: int
    total: int | None = None
    next: str | None = Field(default=None, description="Absolute URI of the next page.")
    prev: str | None = Field(default=None, description="Absolute URI of the previous page.")

    @classmethod
    def of(
        cls, found: list[T], query: OffsetQuery, links: "PageLinks", total: int | None
    ) -> "OffsetPage[T]":
        """A page of `found`, which holds one item more than the limit where there are more."""
        after, before = query.offset + query.limit, max(0, query.offset - query.limit)
        # Past the largest offset the link leads to an error: no list ends without a word.
        has_next = len(found) > query.limit
        return cls(
            items=found[: query.limit],
            offset=query.offset,
            limit=query.limit,
            total=total,
            next=links.at_offset(after) if has_next else None,
            prev=links.at_offset(before) if query.offset else None,
        )


class PageLinks:
    """Absolute links to neighbouring pages of the list that was asked for."""

    def __init__(self, url: str, query: Mapping[str, str]) -> None:
        self._url = url
        self._query = dict(query)

    def at_cursor(self, cursor: str | None) -> str | None:
        """The same list at another cursor."""
        return None if cursor is None else self._with(cursor=cursor)

    def at_offset(self, offset: int) -> str:
        """The same list at another offset."""
        return self._with(offset=str(offset))

    def _with(self, **changed: str) -> str:
        return f"{self._url}?{urlencode({**self._query, **changed})}"


def wants_count(prefer: str | None) -> bool:
    """Whether `Prefer` asks for the exact total (RFC 7240)."""
    for wish in PREFERENCE.finditer(prefer or ""):
        if wish["name"].lower() == "count":  # the first one counts
            return (wish["value"] or "").strip('"').lower() == "exact"
    return False
