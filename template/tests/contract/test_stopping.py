"""Told to stop, the service finishes what it has begun, and nobody notices that it is gone."""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection

import httpx2
import psycopg
import pytest

from tests.kit.balancer import Balancer, ConnectionBalancer
from tests.kit.processes import ServiceProcess
from tests.kit.waiting import eventually

StartService = Callable[..., AbstractContextManager[ServiceProcess]]

PATH = "/problems/conflict"
USERS = 4


@pytest.mark.parametrize(
    ("workers", "kind"), [("1", Balancer), ("2", Balancer), ("1", ConnectionBalancer)]
)
def test_behind_a_balancer_no_request_fails_while_a_replica_stops(
    start_service: StartService, workers: str, kind: type[Balancer]
) -> None:
    with (
        start_service(HTTP_DRAIN_DELAY="3", WORKERS=workers) as stopped,
        start_service() as kept,
        kind([stopped.url, kept.url]).running() as balancer,
    ):
        with under_load(balancer) as failures:
            eventually(lambda: min(balancer.served[url] for url in (stopped.url, kept.url)) > 50)
            assert stopped.terminate() == 0
            served = balancer.served[kept.url]
            eventually(lambda: balancer.served[kept.url] > served + 50)
        assert failures == []
        assert not [line for line in stopped.events("draining") if "request_id" in line]


def test_readiness_fails_first_and_connections_are_kept_until_the_end(
    start_service: StartService,
) -> None:
    with (
        start_service(HTTP_DRAIN_DELAY="3") as server,
        connected(server) as idle,
        connected(server) as busy,
    ):
        assert status_on(idle, "/health/ready") == status_on(busy, "/health/ready") == 200
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: httpx2.get(f"{server.url}/health/ready").status_code == 503)
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
        assert httpx2.get(server.url + PATH).status_code == 200, "the listener is open"
        busy.request("GET", PATH)
        last = busy.getresponse()
        assert (last.status, last.getheader("connection")) == (200, "close")
        assert idle.sock.recv(1) == b"", "an idle connection is closed at the end"
        assert server.process.wait(10) == 0


def test_told_again_and_again_it_stops_no_sooner_and_as_cleanly(
    start_service: StartService,
) -> None:
    with start_service(HTTP_DRAIN_DELAY="2") as server:
        for _ in range(20):
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        assert httpx2.get(server.url + PATH).status_code == 200
        assert server.process.wait(10) == 0
        assert len(server.events("draining")) == len(server.events("stopped")) == 1


def test_an_interrupt_from_the_keyboard_ends_the_server_as_cleanly(
    start_service: StartService,
) -> None:
    with start_service() as server:
        httpx2.get(server.url + PATH)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        assert server.lines()[-1]["event"] == "stopped"


def test_at_the_end_its_last_words_are_out_and_its_connections_closed(
    start_service: StartService, sql: psycopg.Connection[tuple[object, ...]]
) -> None:
    with start_service(SERVICE_NAME="leaving") as server:
        assert httpx2.get(f"{server.url}/health/ready").status_code == 200
        connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaving'"
        assert sql.execute(connections).fetchone() == (1,)
        httpx2.get(server.url + PATH)
        assert server.terminate() == 0
        eventually(lambda: sql.execute(connections).fetchone() == (0,))
        assert len(server.events("request")) == 1
        assert server.lines()[-1]["event"] == "stopped"


@contextmanager
def under_load(balancer: Balancer) -> Generator[list[str]]:
    """Send requests for the length of the block; yields what became of those that failed."""
    failures: list[str] = []
    over = threading.Event()

    def use() -> None:
        while not over.wait(0.01):
            try:
                status = balancer.request("GET", PATH).status_code
            except httpx2.TransportError as error:
                failures.append(repr(error))
            else:
                if status != 200:
                    failures.append(str(status))

    users = [threading.Thread(target=use) for _ in range(USERS)]
    for user in users:
        user.start()
    try:
        yield failures
    finally:
        over.set()
        for user in users:
            user.join()


@contextmanager
def connected(server: ServiceProcess) -> Generator[HTTPConnection]:
    address = server.url.removeprefix("http://")
    with closing(HTTPConnection(address, timeout=10)) as connection:
        yield connection


def status_on(connection: HTTPConnection, path: str) -> int:
    """Ask over this connection, which stays open."""
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status
