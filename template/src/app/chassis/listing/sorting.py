"""`sort=-created_at,+total_amount`: parsed against an allow-list, never passed on as text."""

from collections.abc import Collection
from dataclasses import dataclass

from app.chassis.errors import ValidationFailed, Violation


@dataclass(frozen=True)
class SortKey:
    """One column of an order."""

    name: str
    descending: bool

    def __str__(self) -> str:
        return f"{'-' if self.descending else '+'}{self.name}"


def parse_sort(text: str | None, allowed: Collection[str], default: str) -> tuple[SortKey, ...]:
    """Read a `sort` parameter; a space counts as the `+` that it was before URL decoding.

    Raises:
        ValidationFailed: a field is unknown, or named twice.
    """
    keys: list[SortKey] = []
    for part in (default if text is None else text).split(","):
        name = part.strip().lstrip("+-").strip()
        if name not in allowed or part.strip()[:2] in ("--", "++", "+-", "-+"):
            raise _refused(f"must be a list of {', '.join(sorted(allowed))}, each with + or -")
        if any(key.name == name for key in keys):
            raise _refused(f"names {name} twice")
        keys.append(SortKey(name, part.strip().startswith("-")))
    return tuple(keys)


def _refused(why: str) -> ValidationFailed:
    return ValidationFailed(
        "The list cannot be sorted this way.", errors=[Violation.at(("query", "sort"), why)]
    )
