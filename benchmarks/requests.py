"""Requests: processor time and throughput of rendered services against a bare application."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import load
from benchmarks.report import Table
from benchmarks.services import BARE, Held, Project, Server, held_open, make_project, serving

PATHS = {"list": "/v1/orders", "health": "/health/live"}
# So that a round takes a second or so, and the clock's tick is a hundredth of it.
REQUESTS = {"list": 600, "health": 3000}
WARM_UP = 200


@dataclass(frozen=True)
class Contender:
    """A server under measurement, and what its clients send."""

    server: Server
    held: Held

    def round(self, kind: str, requests: int) -> "Sample":
        """Send `requests` of a kind and see what they cost."""
        before = self.server.cpu_seconds()
        # Probes come without credentials.
        headers: Mapping[str, str] = {} if kind == "health" else self.held.headers
        job = load.Job(self.server.port, PATHS[kind], headers, requests=requests)
        outcome = load.run(job)
        used = self.server.cpu_seconds() - before
        return Sample(used / requests * 1000, outcome.per_second)


@dataclass(frozen=True)
class Sample:
    """One round: milliseconds of processor time per request, and requests per second."""

    cpu: float
    throughput: float


@dataclass
class Series:
    """The rounds of one contender."""

    samples: list[Sample] = field(default_factory=list[Sample])

    @property
    def cpu(self) -> float:
        """Its median processor time per request, milliseconds."""
        return median(sample.cpu for sample in self.samples)

    @property
    def throughput(self) -> float:
        """Its median requests per second."""
        return median(sample.throughput for sample in self.samples)

    def ratio(self, bare: "Series") -> float:
        """The median of the rounds' own ratios: what slows the machine slows both of a round."""
        pairs = zip(self.samples, bare.samples, strict=True)
        return median(mine.cpu / other.cpu for mine, other in pairs)


def measure(place: Path, frameworks: list[str], sizes: list[str], rounds: int) -> Table:
    """Measure every framework with every size of service, and write a row for each."""
    table = Table(
        ("framework", "request", "service", "CPU ms/request", "requests/s", "CPU against bare")
    )
    for framework in frameworks:
        for kind, found in _framework(place, framework, sizes, rounds):
            for name, series in found.items():
                table.add(
                    framework,
                    kind,
                    name,
                    f"{series.cpu:.3f}",
                    f"{series.throughput:.0f}",
                    f"{series.ratio(found[BARE]):.2f}",
                )
    return table


def _framework(
    place: Path, framework: str, sizes: list[str], rounds: int
) -> Iterator[tuple[str, dict[str, Series]]]:
    projects = {size: make_project(place, framework, size) for size in sizes}
    with ExitStack() as stack:
        contenders = _contenders(projects, stack)
        for kind in PATHS:
            yield kind, _interleaved(contenders, kind, rounds)


def _contenders(projects: dict[str, Project], stack: ExitStack) -> dict[str, Contender]:
    """Start a server for each project, and the bare one beside them."""
    contenders: dict[str, Contender] = {}
    for size, project in projects.items():
        held = stack.enter_context(held_open(project))
        if not contenders:
            bare = stack.enter_context(serving(project.serve_bare, project.path, held.environment))
            contenders[BARE] = Contender(bare, held)
        server = stack.enter_context(serving(project.serve, project.path, held.environment))
        contenders[size] = Contender(server, held)
    return contenders


def _interleaved(contenders: dict[str, Contender], kind: str, rounds: int) -> dict[str, Series]:
    """Let the contenders take turns, so that each round meets the machine in one mood."""
    series = {name: Series() for name in contenders}
    for contender in contenders.values():
        contender.round(kind, WARM_UP)
    for _ in range(rounds):
        for name, contender in contenders.items():
            series[name].samples.append(contender.round(kind, REQUESTS[kind]))
    return series
