"""Relay: how soon and how fast events get to the broker, against the broker's own rate."""

import json
import shutil
import subprocess
from pathlib import Path

from slipway.verify import environment

from benchmarks.report import Table
from benchmarks.services import INSIDE, BenchmarkFailedError, make_project

TEST = "test_relay_figures.py"


def measure(place: Path, framework: str, size: str) -> Table:
    """Measure the relay of a service; the framework plays no part in it."""
    project = make_project(place, framework, size)
    shutil.copy(INSIDE / TEST, project.path / "tests")
    state = project.path / "relay.json"
    done = subprocess.run(
        [project.python, "-m", "pytest", "--quiet", f"tests/{TEST}"],
        cwd=project.path,
        env=environment() | {"BENCHMARK_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(done.stdout[-4000:])
    figures: dict[str, float] = json.loads(state.read_text(encoding="utf-8"))
    return _table(figures)


def _table(figures: dict[str, float]) -> Table:
    table = Table(("figure", "value"))
    table.add("transaction to confirmation, idle, p50", f"{figures['p50']:.1f} ms")
    table.add("transaction to confirmation, idle, p99", f"{figures['p99']:.1f} ms")
    table.add("the broker's own confirmed publish rate", f"{figures['broker']:.0f}/s")
    for name in ("one", "two"):
        share = figures[name] / figures["broker"]
        table.add(f"{name} relay{'s' * (name == 'two')}", f"{figures[name]:.0f}/s ({share:.0%})")
    return table
