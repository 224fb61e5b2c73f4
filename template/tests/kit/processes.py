"""Processes of the service, run as an operator runs them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.dev.servers import free_port
from tests.kit.forks import Fork

START_SECONDS = 30
STOP_SECONDS = 30
COMMAND_SECONDS = 60
SHOWN_LINES = 50
FOR_TESTS = {"HTTP_DRAIN_DELAY": "0", "PYTHONUNBUFFERED": "1"}


@dataclass
class ServiceProcess:
    """A running process of the service, with all that it printed."""

    process: "Fork | subprocess.Popen[bytes]"
    output: Path
    url: str = ""

    def lines(self) -> list[dict[str, Any]]:
        """Everything that it logged so far; a line that is no JSON object fails the test."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one kind."""
        return [line for line in self.lines() if line["event"] == event]

    def terminate(self, seconds: float = STOP_SECONDS) -> int:
        """Stop it as an orchestrator does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Stop it as a power cut does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def run_process(
    command: str, environment: Mapping[str, str], module: str = "app", *, forked: bool = True
) -> Generator[ServiceProcess]:
    """Run a subcommand in the background; it is stopped at the end if it still runs.

    With `forked=False` in an interpreter of its own, as an operator does. The end of what it
    printed is shown where a test fails.
    """
    variables = {**os.environ, **FOR_TESTS, **environment}
    with tempfile.TemporaryDirectory(prefix="service-") as directory:
        output = Path(directory) / "output"
        output.touch()
        running = ServiceProcess(
            Fork(module, [command], variables, output=output)
            if forked
            else _interpreter(module, command, variables, output),
            output,
        )
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.terminate()
            sys.stdout.write("".join(output.read_text().splitlines(keepends=True)[-SHOWN_LINES:]))


def _interpreter(
    module: str, command: str, environment: Mapping[str, str], output: Path
) -> "subprocess.Popen[bytes]":
    with output.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", module, command],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )


@contextmanager
def run_server(environment: Mapping[str, str], *, forked: bool = True) -> Generator[ServiceProcess]:
    """Run `serve` on a free port and wait until it is live."""
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), **environment}
    with run_process("serve", settings, forked=forked) as running:
        running.url = f"http://127.0.0.1:{port}"
        wait_until_live(running)
        yield running


def wait_until_live(running: ServiceProcess) -> None:
    """Wait for the first answer; fails with the process's output if it ends before."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the server did not start:\n{running.output.read_text()}")
        try:
            httpx2.get(f"{running.url}/health/live").raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return


def run_command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a subcommand to its end."""
    with tempfile.TemporaryDirectory(prefix="command-") as directory:
        output, errors = Path(directory) / "output", Path(directory) / "errors"
        output.touch()
        errors.touch()
        command = Fork(
            "app", arguments, {**os.environ, **environment}, output=output, errors=errors
        )
        try:
            status = command.wait(COMMAND_SECONDS)
        finally:
            command.kill()
        return subprocess.CompletedProcess(
            arguments, status, output.read_text(), errors.read_text()
        )
