"""Copying: `copier copy` of the fullest service against the same tree without any Jinja in it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from slipway.catalogue import REPOSITORY
from slipway.rendering import ANSWERS_FILE, copy_template, render

from benchmarks.report import Table

FULL = {"framework": "fastapi", "preset": "full"}
AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "Benchmark"), ("EMAIL", "benchmark@example.com"))
}
PLAIN = "_subdirectory: template\n_templates_suffix: .jinja\n"


def measure(place: Path, rounds: int) -> Table:
    """Copy both in turn, each from a tagged repository, as users do."""
    slipway = copy_template(REPOSITORY, place / "copied-template")
    finished = place / "finished"
    render(slipway, finished, FULL)
    plain = _without_jinja(finished, place / "plain-template")
    for template in (slipway, plain):
        _publish(template)
    taken: dict[Path, list[float]] = {slipway: [], plain: []}
    for _ in range(rounds):
        for template, seconds in taken.items():
            seconds.append(_copy(template))
    ratio = median(mine / other for mine, other in zip(*taken.values(), strict=True))
    files = sum(path.is_file() for path in finished.rglob("*"))
    table = Table(("copied", "files", "seconds", "against the finished tree"))
    table.add("the template, every pattern", str(files), _seconds(taken[slipway]), f"{ratio:.2f}")
    table.add("the finished tree", str(files), _seconds(taken[plain]), "1.00")
    return table


def _without_jinja(finished: Path, template: Path) -> Path:
    shutil.copytree(finished, template / "template")
    (template / "template" / ANSWERS_FILE).unlink()
    (template / "copier.yml").write_text(PLAIN, encoding="utf-8")
    return template


def _publish(template: Path) -> None:
    for words in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        ["commit", "--quiet", "-m", "v1"],
        ["tag", "v1.0.0"],
    ):
        subprocess.run(["git", *words], cwd=template, env=os.environ | AUTHOR, check=True)


def _copy(template: Path) -> float:
    with TemporaryDirectory(prefix="slipway-copy-") as scratch:
        answers = [f"--data={name}={value}" for name, value in FULL.items()]
        command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", *answers]
        started = time.monotonic()
        subprocess.run([*command, template, f"{scratch}/copy"], check=True)
        return time.monotonic() - started


def _seconds(taken: list[float]) -> str:
    return f"{median(taken):.2f}"
