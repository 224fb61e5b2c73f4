"""What is too large or not understood is refused before it costs anything."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx2
import pytest

from tests.kit.processes import ServiceProcess
from tests.kit.wire import connection_to, exchange

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


def test_a_part_of_a_resource_is_refused(client: httpx2.Client) -> None:
    headers = {**JSON, "Content-Range": "bytes 0-3/10"}
    assert client.put("/v1/nothing-here", content=b"{}", headers=headers).status_code == 400


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
        b"GET / HTTP/1.1\r\nHost: localhost:80@evil.example\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health/live HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET /health/live\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"not http at all\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_refused_and_the_connection_closed(
    server: ServiceProcess, request_head: bytes
) -> None:
    answer = exchange(server, request_head)
    assert answer.startswith(b"HTTP/1.1 400")
    for expected in (b"application/problem+json", b"nosniff", b"no-store", b"x-request-id: "):
        assert expected in answer


def test_a_well_formed_request_over_the_same_socket_is_answered(server: ServiceProcess) -> None:
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert exchange(server, head).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://localhost/problems/conflict", b"evil.example", b"200"),
        (b"http://localhost:8000/problems/conflict", b"localhost", b"200"),
        (b"http://evil.example/problems/conflict", b"localhost", b"400"),
        (b"http://user@localhost/problems/conflict", b"localhost", b"400"),
        (b"http://[::1]:80/problems/conflict", b"localhost", b"200"),
        (b"http://localhost", b"localhost", b"404"),
    ],
)
def test_a_whole_address_names_the_host(
    server: ServiceProcess, target: bytes, host: bytes, status: bytes
) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (target, host)
    assert exchange(server, head).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("requests", [1, 3])
def test_a_client_that_has_said_everything_gets_its_answers(
    server: ServiceProcess, requests: int
) -> None:
    with connection_to(server) as connection:
        connection.sendall(b"GET /problems/conflict HTTP/1.1\r\nHost: localhost\r\n\r\n" * requests)
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answers.count(b"HTTP/1.1 200 ") == requests


def test_endless_headers_are_cut_off(server: ServiceProcess) -> None:
    answer = exchange(server, b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 40_000)
    assert answer.startswith(b"HTTP/1.1 431")


def test_an_address_over_the_limit_is_refused(client: httpx2.Client) -> None:
    assert client.get("/problems/conflict", params={"a": "x" * 17_000}).status_code == 414


@pytest.mark.parametrize("request_line", [b"POST /v1/nothing-here", b"GET /health/live"])
def test_a_body_that_nobody_reads_cannot_go_on_forever(
    start_service: StartService, request_line: bytes
) -> None:
    head = request_line + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with start_service(HTTP_BODY_TIMEOUT="0.3", HTTP_MAX_BODY_BYTES="1024") as server:
        assert exchange(server, head + b"1\r\nx\r\n").startswith(b"HTTP/1.1 ")
        assert cut_off(server, head, b"400\r\n" + b"x" * 1024 + b"\r\n")


def test_endless_trailers_are_cut_off(server: ServiceProcess) -> None:
    head = (
        b"POST /v1/nothing-here HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert cut_off(server, head + b"0\r\n", b"X-Endless: x\r\n" * 1000)


def test_requests_by_the_thousand_on_one_connection_are_cut_off(server: ServiceProcess) -> None:
    assert cut_off(
        server, b"", b"GET /problems/conflict HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000
    )


def test_the_limit_is_for_each_request_and_not_for_all_on_one_connection(
    start_service: StartService,
) -> None:
    head = (
        b"GET /problems/conflict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    with start_service(HTTP_MAX_BODY_BYTES="1024") as server, connection_to(server) as connection:
        connection.sendall(head + piece)
        for _ in range(100):
            assert answers_once(connection)
            connection.sendall(piece + b"0\r\n\r\n" + head + piece)
        assert answers_once(connection)
        connection.sendall(piece * 100)
        assert connection.recv(4096) == b""


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/problems/%63onflict", b"200"),
        (b"/problems%2Fconflict", b"404"),
        (b"/problems%2fconflict", b"404"),
        (b"/health%2Flive", b"404"),
        (b"/problems/%2e%2e/problems/conflict", b"404"),
    ],
)
def test_an_encoded_slash_is_none(server: ServiceProcess, target: bytes, status: bytes) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target
    assert exchange(server, head).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("method", "status"), [(b"OPTIONS", b"204"), (b"GET", b"400")])
def test_only_options_is_about_the_server_as_a_whole(
    server: ServiceProcess, method: bytes, status: bytes
) -> None:
    head = b"%b * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % method
    answer = exchange(server, head)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert (b"\r\nallow: GET, HEAD, " in answer) == (method == b"OPTIONS")


def test_who_does_not_read_is_cut_off_and_is_no_error(start_service: StartService) -> None:
    with start_service(HTTP_WRITE_TIMEOUT="0.3", HTTP_HEADER_TIMEOUT="60") as server:
        with (
            connection_to(server) as connection,
            pytest.raises(OSError, match=r"reset|pipe"),
        ):
            keep_asking(connection)
        server.terminate()
        assert not [line for line in server.lines() if line["level"] == "error"]


def test_slow_headers_are_given_up(start_service: StartService) -> None:
    with start_service(HTTP_HEADER_TIMEOUT="0.3") as slow:
        started = time.monotonic()
        assert exchange(slow, b"GET / HTTP/1.1\r\nHost: local").startswith(b"HTTP/1.1 408")
        assert exchange(slow, b"") == b""
        assert time.monotonic() - started < 5
        (refused,) = slow.events("request_refused")
        assert refused["status"] == 408
        assert refused["trace_id"]


def test_what_is_no_http_is_logged_once_and_with_its_ids(start_service: StartService) -> None:
    with start_service() as server:
        assert b"\r\ndate: " in exchange(server, b"no http at all\r\n\r\n")
        server.terminate()
        (line,) = [line for line in server.lines() if line.get("status") == 400]
        assert line["event"] == "request_refused"
        assert {"request_id", "trace_id"} < line.keys()
        assert not [line for line in server.lines() if "Invalid" in line["event"]]


def test_the_request_before_what_is_no_http_is_answered(server: ServiceProcess) -> None:
    head = b"GET /problems/conflict HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = exchange(server, head + b"no http at all\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"Conflict"' in answer


def keep_asking(connection: socket.socket) -> None:
    """Ask for more than the network can hold, until the connection breaks or 15 seconds pass."""
    for _ in range(300):
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        time.sleep(0.05)


def answers_once(connection: socket.socket) -> bool:
    """Whether one more request is answered, with a problem type's documentation."""
    answer = b""
    while not answer.endswith(b"}") and (more := connection.recv(4096)):
        answer += more
    return answer.startswith(b"HTTP/1.1 200 ")


def cut_off(server: ServiceProcess, head: bytes, piece: bytes) -> bool:
    """Whether the server closes the connection before it has read 64 MiB."""
    with connection_to(server) as connection:
        try:
            connection.sendall(head)
            for _ in range(64 * 1024 * 1024 // len(piece)):
                connection.sendall(piece)
        except ConnectionError:
            return True
    return False
