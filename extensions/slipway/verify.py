"""Proves one combination: renders it, gives it an environment of its own, and runs its checks."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.matrix import Row
from slipway.rendering import copy_template, render

# The project under test must meet its own environment, not the one that this process runs in.
_FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "COLUMNS")
_FOREIGN_PREFIXES = ("PYTEST_", "COVERAGE_", "UV_PROJECT", "COV_")


@dataclass(frozen=True)
class Step:
    """One check that was run, with its output."""

    name: str
    passed: bool
    seconds: float
    output: str

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        return f"{self.name}: {verdict} in {self.seconds:.1f} s"


def checks(python: str) -> dict[str, list[str]]:
    """Return the commands that a rendered service must pass, by name, in order."""
    run = ["uv", "run", "--no-sync", "--quiet"]
    return {
        "environment": ["uv", "sync", "--quiet", "--python", python],
        "format": [*run, "ruff", "format", "--check", "."],
        "lint": [*run, "ruff", "check", "."],
        "types": [*run, "basedpyright"],
        "imports": [*run, "lint-imports"],
        "tests": [*run, "pytest", "--quiet", "-p", "no:cacheprovider"],
    }


def verify(row: Row, root: Path, workplace: Path) -> Iterator[Step]:
    """Yield each step as it finishes; without an environment there are no further steps.

    The project stays in `workplace` for a look at what went wrong.
    """
    started = time.monotonic()
    template = copy_template(root, workplace / "template")
    project = workplace / "project"
    render(template, project, row.answers())
    yield Step("render", passed=True, seconds=time.monotonic() - started, output=str(project))
    for name, command in checks(_interpreter(row)).items():
        step = _run(name, command, project)
        yield step
        if name == "environment" and not step.passed:
            return


def installed_pythons(versions: tuple[str, ...]) -> list[str]:
    """Return those of `versions` for which an interpreter is installed; nothing is downloaded."""
    find = ["uv", "python", "find", "--no-project", "--no-python-downloads"]
    return [
        version
        for version in versions
        if subprocess.run([*find, version], capture_output=True, check=False).returncode == 0
    ]


def environment() -> dict[str, str]:
    """Return this process's environment without what belongs to its own project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)
    }
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}


def _interpreter(row: Row) -> str:
    return str(row.levels.get("python_version", "3.11"))


def _run(name: str, command: list[str], project: Path) -> Step:
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    return Step(name, passed=done.returncode == 0, seconds=seconds, output=done.stdout)
