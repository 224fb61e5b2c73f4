"""The command does what its help says, and stops when it is told to."""

import json
import threading
import time
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


def test_on_sigterm_readiness_fails_first_and_requests_are_still_served(
    start_service: StartService,
) -> None:
    with start_service(HTTP_DRAIN_DELAY="1") as server:
        stopping = threading.Thread(target=server.terminate)
        stopping.start()
        time.sleep(0.3)
        assert httpx2.get(f"{server.url}/health/ready").status_code == 503
        assert httpx2.get(f"{server.url}/problems/conflict").status_code == 200
        stopping.join()
        assert server.process.returncode == 0


def test_no_request_fails_while_the_server_stops(start_service: StartService) -> None:
    failures: list[Exception] = []

    def use(url: str) -> None:
        with httpx2.Client(base_url=url) as client:
            while client.get("/health/ready").status_code == 200:
                client.get("/problems/conflict").raise_for_status()

    def watched(url: str) -> None:
        try:
            use(url)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
            failures.append(error)

    with start_service(HTTP_DRAIN_DELAY="1") as server:
        users = [threading.Thread(target=watched, args=(server.url,)) for _ in range(4)]
        for user in users:
            user.start()
        time.sleep(0.3)
        assert server.terminate() == 0
        for user in users:
            user.join()
    assert failures == []


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
