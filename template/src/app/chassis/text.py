"""Types of text that clients may send: what a column can hold, and nothing that hides in a log."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, EmailStr, Field, StringConstraints

# Control characters, breaks of lines, and what is not seen or turns the direction around.
_HIDDEN = r"\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2061-\u2064\u2066-\u206f\ufeff"
_CONTROL = re.compile(f"[{_HIDDEN}]")
# Not seen either, but a part of texts: joiners, marks of direction, variants of emoji.
_UNSEEN = r"\xad\u061c\u180e\u200c-\u200f\u2060\ufe00-\ufe0f"
_VISIBLE = re.compile(rf"[^\s{_UNSEEN}]")
LONGEST_LOCAL_PART = 64


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    if not _VISIBLE.search(value):
        raise ValueError("must contain something that can be seen")
    return value


def _address(value: object) -> object:
    if isinstance(value, str) and "<" in value:
        raise ValueError("must be an address alone, without a name")
    if isinstance(value, str) and len(value.rpartition("@")[0]) > LONGEST_LOCAL_PART:
        raise ValueError(f"must have {LONGEST_LOCAL_PART} characters or fewer before the @")
    return value


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_printable),
    Field(json_schema_extra={"pattern": rf"^[^{_HIDDEN}]*[^\s{_UNSEEN}{_HIDDEN}][^{_HIDDEN}]*$"}),
]
"""One line of text, 1 to 200 characters."""

Code = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", min_length=1, max_length=64)
]
"""A short code such as a SKU."""

EmailAddress = Annotated[EmailStr, Field(max_length=254), BeforeValidator(_address)]
"""An email address, which Pydantic would also find in `A name <address>`."""
