"""Projects under git, made from a published copy of a template, as users have them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import copier
import yaml
from slipway.catalogue import Answer
from slipway.rendering import ANSWERS_FILE, contents, copy_template


def git(place: Path, *words: str) -> str:
    """Run git in `place` and return what it says."""
    done = subprocess.run(
        ["git", "-C", str(place), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(place: Path, message: str) -> None:
    """Commit everything that is in `place`."""
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", "--message", message)


def publish(root: Path, destination: Path, version: str = "v1.0.0") -> Path:
    """Put a copy of the template under git with a version tag, as a user would find it."""
    copy_template(root, destination)
    git(destination, "init", "--quiet", "--initial-branch=main")
    commit(destination, version)
    git(destination, "tag", version)
    return destination


def born(published: Path, destination: Path, answers: Mapping[str, Answer]) -> Path:
    """Render the newest version of a published template and commit the result."""
    copier.run_copy(str(published), destination, data=dict(answers), defaults=True, quiet=True)
    git(destination, "init", "--quiet", "--initial-branch=main")
    commit(destination, "Born")
    return destination


def updated(project: Path, **answers: Answer) -> Path:
    """Update a project to its template's newest version and to other answers."""
    copier.run_update(project, data=answers, defaults=True, overwrite=True, quiet=True)
    return project


def tree(project: Path) -> dict[str, bytes]:
    """Return all files of a project, folders too, and its answers without the version."""
    folders = {
        f"{path.relative_to(project).as_posix()}/": b""
        for path in project.rglob("*")
        if path.is_dir() and ".git" not in path.relative_to(project).parts
    }
    record = yaml.safe_load((project / ANSWERS_FILE).read_text(encoding="utf-8"))
    record.pop("_commit")
    return contents(project) | folders | {ANSWERS_FILE: repr(record).encode()}


def conflicts(project: Path) -> list[str]:
    """Return the files that an update left unresolved."""
    return [
        path
        for path, content in contents(project).items()
        if path.endswith(".rej") or b"<<<<<<< " in content or b">>>>>>> " in content
    ]
