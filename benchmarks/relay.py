"""Relay: how soon and how fast events get to each broker, against the broker's own rate."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Table
from benchmarks.services import figures_inside, make_project

TEST = "test_relay_figures.py"


def measure(place: Path, framework: str, brokers: Sequence[str]) -> Table:
    """Measure the relay of a service for each broker; the framework plays no part in it."""
    table = Table(
        ("broker", "idle p50, ms", "idle p99, ms", "broker alone", "one relay", "two relays")
    )
    for broker in brokers:
        project = make_project(place, framework, "full", broker=broker)
        figures = figures_inside(project, TEST)
        alone = figures["broker"]
        relays = (f"{figures[name]:.0f}/s ({figures[name] / alone:.0%})" for name in ("one", "two"))
        table.add(
            broker, f"{figures['p50']:.1f}", f"{figures['p99']:.1f}", f"{alone:.0f}/s", *relays
        )
    return table
