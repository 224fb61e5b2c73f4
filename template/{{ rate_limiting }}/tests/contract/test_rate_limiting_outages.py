"""Redis may die, hang or come back: requests are still counted, and hardly slower."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from app.dev.servers import free_port
from app.dev.valkey import start_valkey
from tests.kit.processes import ServiceProcess
from tests.kit.rate_limits import (
    BEHIND_PROXY,
    COUNTED,
    StartService,
    limits_of,
    quota,
    somebody,
    statuses,
)
from tests.kit.redis import hung

SETTINGS = {
    **quota(4, "60", RATE_LIMIT_LOCAL_SHARE="0.5", RATE_LIMIT_RETRY_INTERVAL="0.2"),
    **BEHIND_PROXY,
    "HEALTH_CACHE_TTL": "0",
}


@dataclass
class Rig:
    """A server of the service, and a Redis of its own that can be harmed."""

    port: int
    directory: Path
    server: ServiceProcess

    def is_shared(self) -> bool:
        """Whether the count is that of all replicas: half the quota is a process's own."""
        return limits_of(httpx2.get(self.server.url + COUNTED, headers=somebody())).quota == 4

    def readiness(self) -> tuple[int, str, str]:
        response = httpx2.get(f"{self.server.url}/health/ready")
        return response.status_code, response.json()["status"], response.json()["checks"]["redis"]


@pytest.fixture(scope="module")
def rig(start_service: StartService, tmp_path_factory: pytest.TempPathFactory) -> Generator[Rig]:
    port, directory = free_port(), tmp_path_factory.mktemp("valkey")
    url = f"redis://127.0.0.1:{port}/0"
    with start_service(**SETTINGS, REDIS_URL=url) as server:
        yield Rig(port, directory, server)


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_service_starts_without_redis_and_counts_by_itself(rig: Rig) -> None:
    caller = somebody()
    assert statuses(rig.server.url, 4, caller) == [200] * 2 + [429] * 2
    refused = httpx2.get(rig.server.url + COUNTED, headers=caller)
    assert limits_of(refused).quota == 2
    assert int(refused.headers["retry-after"]) >= 1
    assert rig.readiness() == (200, "degraded", "failing")


def test_when_redis_appears_dies_and_comes_back_the_count_is_shared_again(rig: Rig) -> None:
    for _ in range(2):
        with start_valkey(rig.directory, rig.port):
            eventually(rig.is_shared)
            assert rig.readiness() == (200, "ready", "ok")
            assert statuses(rig.server.url, 6, somebody()) == [200] * 4 + [429] * 2
        assert statuses(rig.server.url, 4, somebody()) == [200] * 2 + [429] * 2


def test_while_redis_hangs_requests_are_counted_and_hardly_slower(rig: Rig) -> None:
    with start_valkey(rig.directory, rig.port) as url:
        eventually(rig.is_shared)
        with hung(url):
            caller = somebody()
            with httpx2.Client(base_url=rig.server.url, headers=caller) as client:
                client.get("/health/live")
                times: list[float] = []
                for _ in range(50):
                    started = time.perf_counter()
                    client.get(COUNTED)
                    times.append(time.perf_counter() - started)
            assert max(times) < 0.2, "the first request may wait RATE_LIMIT_TIMEOUT (0.04 s)"
            assert sorted(times)[40] < 0.04, "and the others must not wait at all"
            assert statuses(rig.server.url, 1, caller) == [429]
            assert rig.readiness() == (200, "degraded", "failing")
        eventually(rig.is_shared)


def test_an_outage_is_one_warning_and_its_end_one_line(rig: Rig) -> None:
    with start_valkey(rig.directory, rig.port):
        eventually(rig.is_shared)
    before = len(rig.server.events("rate_limits_not_shared"))
    statuses(rig.server.url, 30)
    warnings = rig.server.events("rate_limits_not_shared")
    assert len(warnings) == before + 1
    assert warnings[-1]["level"] == "warning"
    ends = len(rig.server.events("rate_limits_shared_again"))
    with start_valkey(rig.directory, rig.port):
        eventually(rig.is_shared)
    assert len(rig.server.events("rate_limits_shared_again")) == ends + 1


def test_a_policy_may_refuse_every_request_while_redis_is_away(start_service: StartService) -> None:
    away = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with start_service(**quota(9), **away, RATE_LIMIT_FAILURE_POLICY="refuse") as server:
        response = httpx2.get(server.url + COUNTED)
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
