"""Runs Copier as a library: quietly, with given answers, and with nothing to trust."""

import shutil
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import copier
from copier.errors import DirtyLocalWarning

from slipway.catalogue import Answers

ANSWERS_FILE = ".copier-answers.yml"
_PARTS = ("copier.yml", "patterns", "template")
_LEFTOVERS = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv", "*.py[co]")


class RefusedAnswersError(Exception):
    """Copier refused the answers; the message says which and why."""


def copy_template(root: Path, destination: Path) -> Path:
    """Copy what Copier reads of the template to `destination`, outside of git, and return it.

    Copier renders a plain folder as it stands, with no clone and no commit in between.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, destination / part, ignore=_LEFTOVERS)
        elif source.is_file():
            shutil.copy2(source, destination / part)
    return destination


def render(template: Path, destination: Path, answers: Answers) -> None:
    """Render `template` into `destination`; questions without an answer take their default.

    Raises RefusedAnswersError, with nothing written, where the template refuses the answers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DirtyLocalWarning)
        try:
            copier.run_copy(
                str(template),
                destination,
                data=dict(answers),
                vcs_ref="HEAD",
                defaults=True,
                overwrite=True,
                quiet=True,
            )
        except ValueError as refusal:
            raise RefusedAnswersError(str(refusal)) from refusal


@contextmanager
def rendered(root: Path, answers: Answers) -> Generator[Path]:
    """Give a temporary rendering of the template at `root`."""
    with TemporaryDirectory(prefix="slipway-") as scratch:
        template = copy_template(root, Path(scratch) / "template")
        project = Path(scratch) / "project"
        render(template, project, answers)
        yield project


def contents(project: Path) -> dict[str, bytes]:
    """Return every file of a rendering by its path, except the record of its answers."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
        and path.name != ANSWERS_FILE
        and ".git" not in path.relative_to(project).parts
    }
