"""Too many requests at once, or one that never ends, cost nobody else anything."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2

from tests.kit.processes import ServiceProcess
from tests.kit.waiting import eventually
from tests.kit.wire import half_a_request

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_requests_over_the_concurrency_limit_are_refused_but_probes_are_not(
    start_service: StartService, client: httpx2.Client
) -> None:
    with (
        start_service(HTTP_MAX_CONCURRENT_REQUESTS="1") as server,
        _half_an_order(server, client),
    ):
        refused = _until_refused(f"{server.url}/v1/nothing-here")
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1


def test_a_body_that_does_not_arrive_in_time_is_given_up(
    start_service: StartService, client: httpx2.Client
) -> None:
    with start_service(HTTP_BODY_TIMEOUT="0.2") as server, _half_an_order(server, client) as slow:
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_hangs_up_is_no_failure(
    start_service: StartService, client: httpx2.Client
) -> None:
    with start_service() as server:
        with _half_an_order(server, client):
            pass
        eventually(lambda: server.events("request"))
        assert "error" not in {line["level"] for line in server.lines()}


def _half_an_order(
    server: ServiceProcess, client: httpx2.Client
) -> AbstractContextManager[socket.socket]:
    credentials = {k: v for k, v in client.headers.items() if k == "authorization"}
    return half_a_request(server, "/v1/orders", {"Content-Type": "application/json", **credentials})


def _until_refused(url: str) -> httpx2.Response:
    for _ in range(100):
        response = httpx2.get(url)
        if response.status_code == 503:
            return response
    raise AssertionError("the slow request does not occupy the only place")
