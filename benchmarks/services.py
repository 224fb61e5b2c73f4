"""Rendered services and bare applications as processes that can be measured."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from slipway.catalogue import REPOSITORY
from slipway.rendering import copy_template, render
from slipway.verify import environment

INSIDE = Path(__file__).parent / "inside"
SIZES = ("minimal", "standard", "full")
BARE = "bare"
START_SECONDS = 60
PROBE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class BenchmarkFailedError(Exception):
    """A process that is needed for a measurement did not do its part."""


@dataclass(frozen=True)
class Project:
    """A rendered service in an environment of its own."""

    framework: str
    path: Path

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(self.path / ".venv" / "bin" / "python")

    @property
    def serve(self) -> list[str]:
        """The command that serves it."""
        return [self.python, "-m", "app", "serve"]

    @property
    def serve_bare(self) -> list[str]:
        """The command that serves the bare application, as its framework's tutorial does."""
        application = f"bare_{self.framework}:app"
        uvicorn = [self.python, "-m", "uvicorn", "--app-dir", str(INSIDE), "--no-access-log"]
        return [*uvicorn, application]


@dataclass(frozen=True)
class Held:
    """What a process of a service needs while its servers are held open, and what clients send."""

    environment: Mapping[str, str]
    headers: Mapping[str, str]
    order: Mapping[str, Any]


@dataclass(frozen=True)
class Server:
    """A running server with all its processes."""

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        """The processor time that it has used: user and system, all processes."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(used.user + used.system for used in times)

    def resident_bytes(self) -> int:
        """The memory that it holds."""
        return sum(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def make_project(place: Path, framework: str, size: str, **answers: str) -> Project:
    """Render a service of a preset's size and build its environment."""
    name = "-".join([framework, size, *answers.values()])
    template = copy_template(REPOSITORY, place / f"template-{name}")
    project = place / name
    render(template, project, {"framework": framework, "preset": size, **answers})
    subprocess.run(["uv", "sync", "--quiet"], cwd=project, env=environment(), check=True)
    return Project(framework, project)


def figures_inside(project: Project, test: str) -> dict[str, Any]:
    """Run a measurement among the service's own tests and return the figures that it wrote."""
    shutil.copy(INSIDE / test, project.path / "tests")
    state = project.path / "figures.json"
    done = subprocess.run(
        [project.python, "-m", "pytest", "--quiet", f"tests/{test}"],
        cwd=project.path,
        env=environment() | {"BENCHMARK_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(done.stdout[-4000:])
    return json.loads(state.read_text(encoding="utf-8"))


@contextmanager
def held_open(project: Project) -> Generator[Held]:
    """Keep the servers that the service's own tests would get, with 200 orders of one caller."""
    shutil.copy(INSIDE / "test_held_open.py", project.path / "tests")
    state = project.path / "held-open.json"
    state.unlink(missing_ok=True)
    command = [project.python, "-m", "pytest", "--quiet", "-s", "tests/test_held_open.py"]
    with (project.path / "held-open.log").open("wb") as log:
        holder = subprocess.Popen(
            command,
            cwd=project.path,
            env=environment() | {"BENCHMARK_STATE": str(state)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(lambda: state.exists() and state.read_text().endswith("}"), holder, log.name)
        yield Held(**json.loads(state.read_text()))
    finally:
        holder.communicate()


@contextmanager
def serving(command: Sequence[str], place: Path, variables: Mapping[str, str]) -> Generator[Server]:
    """Run a server on a free port, its output in a file; yields it once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "UVICORN_PORT": str(port)}
    with (place / f"server-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment() | {"HTTP_DRAIN_DELAY": "0"} | dict(variables) | settings,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(lambda: _answers(port), process, log.name)
        yield Server(psutil.Process(process.pid), port)
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(PROBE)
            return connection.recv(16).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkFailedError(Path(log).read_text(encoding="utf-8")[-4000:])
        time.sleep(0.005)
