"""Shows what answers render, what a changed answer changes, and what an update would do."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from slipway.catalogue import Answers
from slipway.rendering import contents, rendered

Folder: TypeAlias = dict[str, "Folder"]


@dataclass(frozen=True)
class Difference:
    """How one rendering differs from another, by file."""

    added: tuple[str, ...]
    deleted: tuple[str, ...]
    changed: tuple[str, ...]
    patch: str


def preview(root: Path, answers: Answers) -> list[str]:
    """Return the paths that `answers` render, sorted."""
    with rendered(root, answers) as project:
        return sorted(contents(project))


def compare(root: Path, before: Answers, after: Answers) -> Difference:
    """Return what turns the rendering of `before` into the rendering of `after`."""
    with rendered(root, before) as one:
        old = contents(one)
    with rendered(root, after) as other:
        new = contents(other)
    touched = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return Difference(
        added=tuple(path for path in touched if path not in old),
        deleted=tuple(path for path in touched if path not in new),
        changed=tuple(path for path in touched if path in old and path in new),
        patch="".join(_patch(path, old, new) for path in touched),
    )


def _patch(path: str, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> str:
    """Return one file's change as a unified diff."""
    return "".join(
        difflib.unified_diff(
            old.get(path, b"").decode(errors="replace").splitlines(keepends=True),
            new.get(path, b"").decode(errors="replace").splitlines(keepends=True),
            f"a/{path}" if path in old else "/dev/null",
            f"b/{path}" if path in new else "/dev/null",
        )
    )


def as_tree(paths: Iterable[str]) -> str:
    """Return the paths drawn as a tree, folders before files."""
    root: Folder = {}
    for path in paths:
        place = root
        for part in path.split("/"):
            place = place.setdefault(part, {})
    return "\n".join(_branches(root, ""))


def _branches(folder: Folder, indent: str) -> list[str]:
    lines: list[str] = []
    ordered = sorted(folder.items(), key=lambda entry: (not entry[1], entry[0]))
    for place, (name, inside) in enumerate(ordered, start=1):
        last = place == len(ordered)
        lines.append(f"{indent}{'└─' if last else '├─'} {name}{'/' if inside else ''}")
        lines.extend(_branches(inside, indent + ("   " if last else "│  ")))
    return lines
