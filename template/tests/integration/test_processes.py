"""The command does what its help says, and stops when it is told to."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2

from tests.kit.processes import ServiceProcess, run_command

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_sigterm_ends_the_server_with_status_0(start_service: StartService) -> None:
    with start_service() as server:
        assert server.terminate() == 0


def test_several_workers_stop_as_one(start_service: StartService) -> None:
    with start_service(WORKERS="2") as server:
        assert server.terminate() == 0
        assert len(server.events("stopped")) == 2
        assert not [line for line in server.lines() if line["level"] == "error"]


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
