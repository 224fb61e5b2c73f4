"""Memory: what the fullest service holds while orders are placed for a minute."""

import json
import subprocess
import time
from pathlib import Path

from benchmarks import load
from benchmarks.report import Table
from benchmarks.services import Server, held_open, make_project, serving

MEGABYTE = 2**20
# The pool fills, caches and the allocator's arenas too: what counts is what comes after.
WARM_UP_SECONDS = 60


def measure(place: Path, frameworks: list[str], size: str, seconds: float) -> Table:
    """Write for so many seconds after a warm-up, and compare the memory at both ends."""
    table = Table(
        ("framework", "orders placed", "at start, MB", "warm, MB", "at the end, MB", "growth")
    )
    for framework in frameworks:
        project = make_project(place, framework, size)
        with (
            held_open(project) as held,
            serving(project.serve, project.path, held.environment) as server,
        ):
            writes = load.Job(
                server.port,
                "/v1/orders",
                {**held.headers, "Content-Type": "application/json"},
                method="POST",
                body=json.dumps(held.order),
                expected=201,
                seconds=WARM_UP_SECONDS + seconds,
            )
            table.add(framework, *_watch(server, writes))
    return table


def _watch(server: Server, writes: load.Job) -> tuple[str, ...]:
    start = server.resident_bytes()
    generator = load.start(writes)
    time.sleep(WARM_UP_SECONDS)
    warm = end = server.resident_bytes()
    while _is_running(generator):
        end = server.resident_bytes()
    outcome = load.finish(generator)
    sizes = (f"{size / MEGABYTE:.1f}" for size in (start, warm, end))
    return (str(outcome.requests), *sizes, f"{(end - warm) / warm:+.1%}")


def _is_running(process: "subprocess.Popen[str]") -> bool:
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return True
    return False
