"""`sort=-created_at,+total_amount`: parsed against an allow-list, never passed on as text."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class SortKey:
    """One column of an order."""

    name: str
    descending: bool

    def __str__(self) -> str:
        return f"{'-' if self.descending else '+'}{self.name}"


def parse_sort(text: str, allowed: Collection[str]) -> tuple[SortKey, ...]:
    """Read a `sort` parameter; a space counts as the `+` that it was before URL decoding.

    Raises:
        ValueError: a field is unknown, or named twice.
    """
    keys: list[SortKey] = []
    for part in text.split(","):
        name = part.strip().lstrip("+-").strip()
        if name not in allowed or part.strip()[:2] in ("--", "++", "+-", "-+"):
            raise ValueError(f"must be a list of {', '.join(sorted(allowed))}, each with + or -")
        if any(key.name == name for key in keys):
            raise ValueError(f"names {name} twice")
        keys.append(SortKey(name, part.strip().startswith("-")))
    return tuple(keys)
