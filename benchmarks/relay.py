"""Relay: how soon and how fast events get to the broker, against the broker's own rate."""

from pathlib import Path

from benchmarks.report import Table
from benchmarks.services import figures_inside, make_project

TEST = "test_relay_figures.py"


def measure(place: Path, framework: str, size: str) -> Table:
    """Measure the relay of a service; the framework plays no part in it."""
    return _table(figures_inside(make_project(place, framework, size), TEST))


def _table(figures: dict[str, float]) -> Table:
    table = Table(("figure", "value"))
    table.add("transaction to confirmation, idle, p50", f"{figures['p50']:.1f} ms")
    table.add("transaction to confirmation, idle, p99", f"{figures['p99']:.1f} ms")
    table.add("the broker's own confirmed publish rate", f"{figures['broker']:.0f}/s")
    for name in ("one", "two"):
        share = figures[name] / figures["broker"]
        table.add(f"{name} relay{'s' * (name == 'two')}", f"{figures[name]:.0f}/s ({share:.0%})")
    return table
