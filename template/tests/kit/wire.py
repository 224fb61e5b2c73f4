"""Bytes over a socket, for what no HTTP client would send or show."""

import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from tests.kit.processes import ServiceProcess


def connection_to(server: ServiceProcess) -> socket.socket:
    """Open a connection that gives up after a while, and keeps little of what it is sent."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(15)
    connection.connect((host, int(port)))
    return connection


def exchange(server: ServiceProcess, data: bytes) -> bytes:
    """Send bytes and read until the server closes the connection."""
    with connection_to(server) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@contextmanager
def half_a_request(
    server: ServiceProcess, path: str, headers: Mapping[str, str]
) -> Generator[socket.socket]:
    """Send the start of a POST and leave it there; its client hangs up at the end of the block."""
    head = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Length: 10",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with connection_to(server) as connection:
        connection.sendall("\r\n".join([*head, "", "{"]).encode())
        yield connection
