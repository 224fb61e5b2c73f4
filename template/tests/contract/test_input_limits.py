"""What is too large or not understood is refused before it costs anything."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx2

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]
JSON = {"Content-Type": "application/json"}


def test_a_declared_body_over_the_limit_is_refused(client: httpx2.Client) -> None:
    response = client.post("/v1/nothing-here", content=b"x" * 1_048_577, headers=JSON)
    assert response.status_code == 413


def test_a_chunked_body_over_the_limit_is_refused(client: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 32_768

    response = client.post("/problems/conflict", content=chunks(), headers=JSON)
    assert response.status_code in (405, 413)


def test_a_compressed_body_is_refused(client: httpx2.Client) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    response = client.post("/v1/nothing-here", content=b"\x1f\x8b", headers=headers)
    assert response.status_code == 415


def test_headers_over_the_limit_are_refused(client: httpx2.Client) -> None:
    response = client.get("/v1/nothing-here", headers={"X-Padding": "x" * 20_000})
    assert response.status_code == 431


def test_requests_over_the_concurrency_limit_are_refused_but_probes_are_not(
    start_service: StartService,
) -> None:
    with start_service(HTTP_MAX_CONCURRENT_REQUESTS="1") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(
                b"POST /v1/order-batches HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
            )
            refused = _until_refused(f"{server.url}/v1/nothing-here")
            assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1


def _until_refused(url: str) -> httpx2.Response:
    for _ in range(100):
        response = httpx2.get(url)
        if response.status_code == 503:
            return response
    raise AssertionError("the slow request does not occupy the only place")
