"""Start-up: from the command to the first 200, against the bare application."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.report import Table
from benchmarks.services import BARE, Held, held_open, make_project, serving


def measure(place: Path, frameworks: list[str], sizes: list[str], rounds: int) -> Table:
    """Start every service so many times in turn with the bare one; the medians are compared."""
    table = Table(("framework", "service", "seconds to first 200", "against bare"))
    for framework in frameworks:
        seconds = _framework(place, framework, sizes, rounds)
        for name, taken in seconds.items():
            ratio = median(taken) / median(seconds[BARE])
            table.add(framework, name, f"{median(taken):.2f}", f"{ratio:.2f}")
    return table


def _framework(
    place: Path, framework: str, sizes: list[str], rounds: int
) -> dict[str, list[float]]:
    projects = {size: make_project(place, framework, size) for size in sizes}
    largest = projects[sizes[-1]]
    commands = {BARE: largest.serve_bare, **{name: p.serve for name, p in projects.items()}}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with held_open(largest) as held:
        for attempt in range(rounds + 1):
            for name, command in commands.items():
                taken = _start(command, projects.get(name, largest).path, held)
                if attempt:  # The first writes byte code and warms the disk's cache.
                    seconds[name].append(taken)
    return seconds


def _start(command: Sequence[str], path: Path, held: Held) -> float:
    started = time.monotonic()
    with serving(command, path, held.environment):
        return time.monotonic() - started
