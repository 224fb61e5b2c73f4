"""Redis may die, hang or come back: requests are still counted, and hardly slower."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import httpx2
import pytest

from tests.kit.faults import FaultProxy, proxied
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
from tests.kit.waiting import eventually

PATIENCE = 0.3
SETTINGS = {
    **quota(4, "60", RATE_LIMIT_LOCAL_SHARE="0.5", RATE_LIMIT_RETRY_INTERVAL="0.2"),
    **BEHIND_PROXY,
    "RATE_LIMIT_TIMEOUT": str(PATIENCE),
    "HEALTH_CACHE_TTL": "0",
    "HEALTH_CHECK_TIMEOUT": "0.5",
}
FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "cut off": FaultProxy.cut,
    "reset": FaultProxy.reset,
    "late": lambda proxy: proxy.delay(0.5),
    "silent": FaultProxy.blackhole,
}


@dataclass
class Rig:
    """A server of the service whose Redis can be harmed; at first it is down."""

    proxy: FaultProxy
    server: ServiceProcess

    def is_shared(self) -> bool:
        """Whether the count is that of all replicas: half the quota is a process's own."""
        return limits_of(httpx2.get(self.server.url + COUNTED, headers=somebody())).quota == 4

    def readiness(self) -> tuple[int, str, str]:
        response = httpx2.get(f"{self.server.url}/health/ready")
        return response.status_code, response.json()["status"], response.json()["checks"]["redis"]


@pytest.fixture(scope="module")
def rig(start_service: StartService, redis_url: str) -> Generator[Rig]:
    with proxied(redis_url) as proxy:
        proxy.cut()
        with start_service(**SETTINGS, REDIS_URL=proxy.url) as server:
            yield Rig(proxy, server)


def test_the_service_starts_without_redis_and_counts_by_itself(rig: Rig) -> None:
    caller = somebody()
    assert statuses(rig.server.url, 4, caller) == [200] * 2 + [429] * 2
    refused = httpx2.get(rig.server.url + COUNTED, headers=caller)
    assert limits_of(refused).quota == 2
    assert int(refused.headers["retry-after"]) >= 1
    assert rig.readiness() == (200, "degraded", "failing")


@pytest.mark.parametrize("fault", FAULTS)
def test_while_redis_is_away_requests_are_counted_and_hardly_slower(rig: Rig, fault: str) -> None:
    rig.proxy.restore()
    eventually(rig.is_shared)
    assert rig.readiness() == (200, "ready", "ok")
    assert statuses(rig.server.url, 6, somebody()) == [200] * 4 + [429] * 2
    FAULTS[fault](rig.proxy)
    caller = somebody()
    times: list[float] = []
    with httpx2.Client(base_url=rig.server.url, headers=caller) as client:
        for _ in range(20):
            started = time.perf_counter()
            client.get(COUNTED)
            times.append(time.perf_counter() - started)
    assert sorted(times)[15] < PATIENCE, "only the first request may wait RATE_LIMIT_TIMEOUT"
    assert statuses(rig.server.url, 1, caller) == [429]
    assert rig.readiness() == (200, "degraded", "failing")
    rig.proxy.restore()
    eventually(rig.is_shared)


def test_an_outage_is_one_warning_and_its_end_one_line(rig: Rig) -> None:
    rig.proxy.restore()
    eventually(rig.is_shared)
    before = len(rig.server.events("rate_limits_not_shared"))
    ends = len(rig.server.events("rate_limits_shared_again"))
    rig.proxy.cut()
    statuses(rig.server.url, 30)
    warnings = rig.server.events("rate_limits_not_shared")
    assert len(warnings) == before + 1
    assert warnings[-1]["level"] == "warning"
    rig.proxy.restore()
    eventually(rig.is_shared)
    again = rig.server.events("rate_limits_shared_again")
    assert len(again) == ends + 1
    assert "request_id" not in again[-1], "the request that began the outage is over"


def test_a_silent_redis_takes_only_half_of_the_time_of_the_readiness_check(
    start_service: StartService, redis_url: str
) -> None:
    with (
        proxied(redis_url) as proxy,
        start_service(REDIS_URL=proxy.url, HEALTH_CHECK_TIMEOUT="6") as server,
    ):
        proxy.blackhole()
        started = time.monotonic()
        response = httpx2.get(f"{server.url}/health/ready", timeout=30)
        assert time.monotonic() - started < 6
        assert (response.status_code, response.json()["status"]) == (200, "degraded")


def test_a_policy_may_refuse_every_request_while_redis_is_away(
    start_service: StartService, redis_url: str
) -> None:
    with (
        proxied(redis_url) as proxy,
        start_service(
            **quota(9), REDIS_URL=proxy.url, RATE_LIMIT_FAILURE_POLICY="refuse"
        ) as server,
    ):
        proxy.cut()
        httpx2.get(server.url + COUNTED)
        response = httpx2.get(server.url + COUNTED)
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
