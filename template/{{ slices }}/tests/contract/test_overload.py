"""Too many requests at once, or one that never ends, cost nobody else anything."""

import socket
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

import httpx2

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_requests_over_the_concurrency_limit_are_refused_but_probes_are_not(
    start_service: StartService, client: httpx2.Client
) -> None:
    with (
        start_service(HTTP_MAX_CONCURRENT_REQUESTS="1") as server,
        _half_a_request(server, client),
    ):
        refused = _until_refused(f"{server.url}/v1/nothing-here")
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1


def test_a_body_that_does_not_arrive_in_time_is_given_up(
    start_service: StartService, client: httpx2.Client
) -> None:
    with start_service(HTTP_BODY_TIMEOUT="0.2") as server, _half_a_request(server, client) as slow:
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")


@contextmanager
def _half_a_request(server: ServiceProcess, client: httpx2.Client) -> Generator[socket.socket]:
    """Send the start of a request, with the client's credentials, and leave it there."""
    host, port = server.url.removeprefix("http://").split(":")
    credentials = client.headers.get("Authorization", "")
    head = [
        "POST /v1/orders HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 10",
        f"Authorization: {credentials}" if credentials else "Connection: keep-alive",
    ]
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("\r\n".join([*head, "", "{"]).encode())
        yield connection


def _until_refused(url: str) -> httpx2.Response:
    for _ in range(100):
        response = httpx2.get(url)
        if response.status_code == 503:
            return response
    raise AssertionError("the slow request does not occupy the only place")
