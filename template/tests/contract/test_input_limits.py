"""What is too large or not understood is refused before it costs anything."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx2
import pytest

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


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Folded: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"not http at all\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_refused_and_the_connection_closed(
    server: ServiceProcess, request_head: bytes
) -> None:
    answer = exchange(server, request_head)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


def test_a_well_formed_request_over_the_same_socket_is_answered(server: ServiceProcess) -> None:
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert exchange(server, head).startswith(b"HTTP/1.1 200")


def test_endless_headers_are_cut_off(server: ServiceProcess) -> None:
    answer = exchange(server, b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 40_000)
    assert answer.startswith(b"HTTP/1.1 431")


def test_slow_headers_are_given_up(start_service: StartService) -> None:
    with start_service(HTTP_HEADER_TIMEOUT="0.3") as slow:
        started = time.monotonic()
        assert exchange(slow, b"GET / HTTP/1.1\r\nHost: local") == b""
        assert time.monotonic() - started < 5


def exchange(server: ServiceProcess, data: bytes) -> bytes:
    """Send bytes and read until the server closes the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(4096), b""))
