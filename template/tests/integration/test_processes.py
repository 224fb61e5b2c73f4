"""The command does what its help says, and stops when it is told to."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from tests.kit.processes import ServiceProcess, run_command
from tests.kit.signals import needs_proc
from tests.kit.waiting import eventually

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_sigterm_ends_the_server_with_status_0(start_service: StartService) -> None:
    with start_service() as server:
        assert server.terminate() == 0


def test_several_workers_stop_as_one(start_service: StartService) -> None:
    with start_service(WORKERS="2") as server:
        assert server.terminate() == 0
        assert len(server.events("stopped")) == 2
        assert not [line for line in server.lines() if line["level"] == "error"]


@needs_proc
def test_a_worker_process_that_dies_is_replaced_and_leaves_a_line(
    start_service: StartService,
) -> None:
    with start_service(WORKERS="2") as server:
        parent = server.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        eventually(lambda: levels_of_deaths(server) == ["warning"])
        assert httpx2.get(f"{server.url}/health/live").status_code == 200


def levels_of_deaths(server: ServiceProcess) -> list[str]:
    return [line["level"] for line in server.lines() if line["event"].endswith(" died")]


def test_openapi_needs_no_configuration() -> None:
    result = run_command("openapi", DATABASE_URL="")
    assert result.returncode == 0
    assert json.loads(result.stdout)["openapi"].startswith("3.1")


def test_the_documentation_is_hidden_in_production(
    start_service: StartService, production: dict[str, str]
) -> None:
    with start_service(**production) as server:
        for path in ("/openapi.json", "/docs"):
            assert httpx2.get(server.url + path).status_code == 404
    with start_service() as server:
        for path in ("/openapi.json", "/docs"):
            assert httpx2.get(server.url + path).status_code == 200
