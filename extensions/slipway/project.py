"""A rendered project under git: the answers it was made with, its forecast, and its update."""

import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import copier
import yaml
from copier import VcsRef
from copier.errors import CopierError, DirtyLocalWarning

from slipway.catalogue import Answer
from slipway.rendering import ANSWERS_FILE, contents

CONFLICT = b"<<<<<<< before updating"


class ProjectError(Exception):
    """The project cannot be updated as it stands; nothing was written."""


@dataclass(frozen=True)
class Forecast:
    """What an update would do to a project, by file; every path is relative to the project."""

    new: tuple[str, ...]
    clean: tuple[str, ...]
    conflicting: tuple[str, ...]
    deleted: tuple[str, ...]
    lost: tuple[str, ...]
    """Files among `deleted` that the user has edited since they were rendered."""

    def __str__(self) -> str:
        groups = {
            "new": self.new,
            "changed": self.clean,
            "deleted": tuple(path for path in self.deleted if path not in self.lost),
            "CONFLICT": self.conflicting,
            "EDITED, would be deleted": self.lost,
        }
        lines = [f"{group}: {path}" for group, paths in groups.items() for path in paths]
        return "\n".join(lines) or "nothing changes"


def read_answers(project: Path) -> dict[str, Answer]:
    """Return the answers that the project records, without Copier's own entries."""
    record = project / ANSWERS_FILE
    if not record.is_file():
        raise ProjectError(f"{project} was not rendered by Copier: it has no {ANSWERS_FILE}.")
    recorded = cast("dict[str, Answer]", yaml.safe_load(record.read_text(encoding="utf-8")) or {})
    return {name: answer for name, answer in recorded.items() if not name.startswith("_")}


def require_clean(project: Path) -> None:
    """Raise ProjectError unless the project is under git with nothing uncommitted."""
    try:
        status = _git(project, "status", "--porcelain")
    except subprocess.CalledProcessError as error:
        raise ProjectError(f"{project} is not under git, so an update could lose work.") from error
    if status:
        raise ProjectError(
            f"{project} has changes that are not committed; commit or stash them first:\n{status}"
        )


def update(project: Path, answers: Mapping[str, Answer], *, to: str | None) -> None:
    """Update the project to `answers`; `to` names a template version, None keeps the present one.

    Raises ProjectError where the project is not clean or Copier refuses.
    """
    require_clean(project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DirtyLocalWarning)
        try:
            copier.run_update(
                project,
                data=dict(answers),
                vcs_ref=to or VcsRef.CURRENT,
                defaults=True,
                overwrite=True,
                quiet=True,
            )
        except (CopierError, ValueError) as refusal:
            raise ProjectError(str(refusal)) from refusal


def forecast(project: Path, answers: Mapping[str, Answer], *, to: str | None) -> Forecast:
    """Return what `update` would do, by doing it to a clone of the project."""
    require_clean(project)
    before = contents(project)
    with TemporaryDirectory(prefix="slipway-forecast-") as scratch:
        clone = _clone(project, Path(scratch) / "clone")
        committed = contents(clone)
        update(clone, answers, to=to)
        after = contents(clone)
        edited = _edited(project, committed, Path(scratch))
    touched = sorted(p for p in committed.keys() | after.keys() if committed.get(p) != after.get(p))
    deleted = tuple(path for path in touched if path not in after)
    # A file that git ignores is in the project but not in its clone: an update would overwrite it.
    conflicting = tuple(
        path
        for path in touched
        if CONFLICT in after.get(path, b"") or (path not in committed and path in before)
    )
    return Forecast(
        new=tuple(path for path in touched if path not in before and path not in conflicting),
        clean=tuple(
            path
            for path in touched
            if path in committed and path in after and path not in conflicting
        ),
        conflicting=conflicting,
        deleted=deleted,
        lost=tuple(path for path in deleted if path in edited),
    )


def _clone(project: Path, destination: Path) -> Path:
    """Clone the repository that holds the project and return the project's place in the clone."""
    top = Path(_git(project, "rev-parse", "--show-toplevel").strip())
    _git(project, "clone", "--quiet", "--no-hardlinks", str(top), str(destination))
    return destination / project.resolve().relative_to(top.resolve())


def _edited(project: Path, committed: Mapping[str, bytes], scratch: Path) -> set[str]:
    """Return the committed files of the project that differ from what the template rendered."""
    record = yaml.safe_load((project / ANSWERS_FILE).read_text(encoding="utf-8"))
    born = scratch / "born"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DirtyLocalWarning)
        copier.run_copy(
            record["_src_path"],
            born,
            data=read_answers(project),
            vcs_ref=record["_commit"],
            defaults=True,
            quiet=True,
        )
    as_rendered = contents(born)
    return {path for path, content in committed.items() if as_rendered.get(path) != content}


def _git(place: Path, *words: str) -> str:
    """Run git in `place` and return what it says; raise CalledProcessError where it fails."""
    done = subprocess.run(
        ["git", "-C", str(place), *words], check=True, capture_output=True, text=True
    )
    return done.stdout
