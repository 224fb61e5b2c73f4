"""Paging: what a page deep in a list of a million orders costs, against the first."""

from pathlib import Path

from benchmarks.report import Table
from benchmarks.services import figures_inside, make_project

TEST = "test_paging_figures.py"


def measure(place: Path, frameworks: list[str], sizes: list[str]) -> Table:
    """Measure both pages over HTTP, taking turns."""
    table = Table(
        ("framework", "service", "list", "page 1, ms", "page 1,000, ms", "against page 1")
    )
    for framework in frameworks:
        for size in sizes:
            figures = figures_inside(make_project(place, framework, size), TEST)
            for name, row in figures.items():
                times = (f"{row['first']:.2f}", f"{row['deep']:.2f}", f"{row['ratio']:.2f}")
                table.add(framework, size, name, *times)
    return table
