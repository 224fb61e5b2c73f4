"""The database may be down, hang or answer late: requests are refused soon, and then it works."""

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx2
import pytest

from tests.kit.faults import FaultProxy, proxied
from tests.kit.locks import Sql, locked, waiting_for_locks
from tests.kit.processes import ServiceProcess
from tests.kit.shop import customer_body
from tests.kit.waiting import eventually

StartService = Callable[..., AbstractContextManager[ServiceProcess]]

POOL = 4
SETTINGS = {
    "DATABASE_POOL_SIZE": "3",
    "DATABASE_POOL_OVERFLOW": "1",
    "DATABASE_POOL_TIMEOUT": "0.5",
    "DATABASE_STATEMENT_TIMEOUT": "2",
    "DATABASE_LOCK_TIMEOUT": "20",
    "DATABASE_CONNECT_TIMEOUT": "1",
    "HEALTH_CACHE_TTL": "0",
}
LATE_SECONDS = 5
REFUSED_WITHIN_SECONDS = 8
NORMAL_WITHIN_SECONDS = 10
LIST = "/v1/customers"

FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "cut off": FaultProxy.cut,
    "reset": FaultProxy.reset,
    "late": lambda proxy: proxy.delay(LATE_SECONDS),
    "silent": FaultProxy.blackhole,
}


@dataclass
class Rig:
    """A server of the service whose database can be harmed, a client and an orchestrator."""

    proxy: FaultProxy
    server: ServiceProcess
    client: httpx2.Client
    probes: httpx2.Client

    def status(self, path: str = LIST) -> int:
        return self.client.get(path).status_code

    def timed(self, path: str = LIST) -> tuple[httpx2.Response, float]:
        return timed(self.client, path)


def timed(client: httpx2.Client, path: str) -> tuple[httpx2.Response, float]:
    started = time.monotonic()
    return client.get(path), time.monotonic() - started


@pytest.fixture(scope="module")
def server_rig(start_service: StartService, database_url: str) -> Generator[Rig]:
    with (
        proxied(database_url) as proxy,
        start_service(**SETTINGS, DATABASE_URL=proxy.url) as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
        httpx2.Client(base_url=server.url, timeout=30) as probes,
    ):
        yield Rig(proxy, server, client, probes)


@pytest.fixture
def rig(server_rig: Rig, client: httpx2.Client) -> Generator[Rig]:
    """The same, working and with every connection of the pool made."""
    server_rig.client.headers.update(client.headers)
    with ThreadPoolExecutor(POOL) as together:
        assert set(together.map(server_rig.status, [LIST] * POOL)) == {200}
    yield server_rig
    server_rig.proxy.restore()
    eventually(lambda: server_rig.status() == 200)


@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_database_is_away_everything_is_answered_soon_and_works_again_afterwards(
    rig: Rig, fault: str
) -> None:
    with ThreadPoolExecutor(2 * POOL) as together:
        FAULTS[fault](rig.proxy)
        answers = together.map(rig.timed, [LIST] * 2 * POOL)
        for _ in range(2):
            ready, seconds = timed(rig.probes, "/health/ready")
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "failing")
            assert seconds < 2, "HEALTH_CHECK_TIMEOUT is 1 s"
            live, seconds = timed(rig.probes, "/health/live")
            assert live.status_code == 200
            assert seconds < 1, "nothing blocks the event loop"
        for response, seconds in [*answers, rig.timed()]:
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert int(response.headers["retry-after"]) >= 1
            assert seconds < REFUSED_WITHIN_SECONDS
        rig.proxy.restore()
        eventually(
            lambda: rig.probes.get("/health/ready").status_code == 200, NORMAL_WITHIN_SECONDS
        )
        assert set(together.map(rig.status, [LIST] * POOL)) == {200}, "no connection is leaked"
    silences = rig.server.events("database_silent")
    assert not [line for line in silences if "request_id" in line], "it may be another request's"


def test_a_connection_that_is_lost_in_the_middle_of_a_request_costs_that_request(
    rig: Rig, sql: Sql, database_url: str
) -> None:
    with ThreadPoolExecutor(1) as beside:
        with locked(database_url, "customers"):
            waiting = beside.submit(rig.client.post, LIST, json=customer_body())
            eventually(lambda: waiting_for_locks(sql))
            rig.proxy.cut()
            refused = waiting.result()
        rig.proxy.restore()
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert rig.status() == 200


def test_each_request_that_is_refused_is_one_error_in_the_log(rig: Rig) -> None:
    ids = [f"refused-{i}" for i in range(20)]
    rig.proxy.cut()

    def ask(request_id: str) -> int:
        return rig.client.get(LIST, headers={"X-Request-ID": request_id}).status_code

    with ThreadPoolExecutor(10) as together:
        assert set(together.map(ask, ids)) == {503}

    def errors() -> list[str]:
        lines = (line for line in rig.server.lines() if line["level"] == "error")
        return sorted(line["request_id"] for line in lines if line.get("request_id") in ids)

    eventually(lambda: errors() == sorted(ids))


def test_an_exhausted_pool_is_a_503_for_those_who_wait_in_vain(
    rig: Rig, sql: Sql, database_url: str
) -> None:
    with ThreadPoolExecutor(POOL) as beside:
        with locked(database_url, "customers"):
            waiting = [
                beside.submit(rig.client.post, LIST, json=customer_body()) for _ in range(POOL)
            ]
            eventually(lambda: waiting_for_locks(sql) == POOL)
            refused, seconds = rig.timed()
            live = rig.probes.get("/health/live").status_code
        assert {answer.result().status_code for answer in waiting} <= {201, 503}
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert 0.4 < seconds < 1.5, "DATABASE_POOL_TIMEOUT is 0.5 s"
    assert live == 200
    assert rig.status() == 200
