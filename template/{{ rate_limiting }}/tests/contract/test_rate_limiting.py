"""A caller gets its quota in any window: no more, however it asks, and is told what is left."""

import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.kit.processes import run_command
from tests.kit.rate_limits import (
    BEHIND_PROXY,
    COUNTED,
    StartService,
    limits_of,
    quota,
    somebody,
    statuses,
)


@pytest.fixture(scope="module")
def url(start_service: StartService) -> Generator[str]:
    """A server that grants 5 requests in 2 seconds, and believes its proxy."""
    with start_service(**quota(5, "2"), **BEHIND_PROXY) as server:
        yield server.url


def ask(url: str, caller: dict[str, str]) -> httpx2.Response:
    return httpx2.get(url + COUNTED, headers=caller)


def test_beyond_the_quota_requests_are_refused_with_a_problem(url: str) -> None:
    caller = somebody()
    assert statuses(url, 5, caller) == [200] * 5
    refused = ask(url, caller)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert httpx2.get(f"{url}/problems/quota-exceeded").json()["type"] == problem["type"]
    assert problem["status"] == 429
    assert problem["violated-policies"] == ["default"]
    assert problem["request_id"] == refused.headers["x-request-id"]


def test_retry_after_is_not_earlier_than_the_quota_comes_back(url: str) -> None:
    caller = somebody()
    statuses(url, 5, caller)
    refused = ask(url, caller)
    assert int(refused.headers["retry-after"]) >= max(1, limits_of(refused).wait)
    time.sleep(int(refused.headers["retry-after"]))
    assert ask(url, caller).status_code == 200


def test_every_response_says_what_is_left_in_both_families(url: str) -> None:
    caller = somebody()
    for used in range(1, 8):
        response = ask(url, caller)
        limits = limits_of(response)
        assert (limits.policy, limits.quota, limits.window) == ("default", 5, 2)
        assert limits.remaining == max(0, 5 - used)
        assert 1 <= limits.wait <= 2
        headers = response.headers
        assert int(headers["x-ratelimit-limit"]) == limits.quota
        assert int(headers["x-ratelimit-remaining"]) == limits.remaining
        assert int(headers["x-ratelimit-reset"]) == limits.wait


def test_failures_count_and_say_what_is_left_too(url: str) -> None:
    caller = somebody()
    response = httpx2.get(f"{url}/v1/nothing-here", headers=caller)
    assert response.status_code in (401, 404)
    assert limits_of(response).remaining == 4
    assert limits_of(ask(url, caller)).remaining == 3


def test_the_window_slides_so_its_end_is_no_moment_for_a_double_quota(url: str) -> None:
    caller = somebody()
    assert statuses(url, 1, caller) == [200]
    time.sleep(1.5)
    assert statuses(url, 4, caller) == [200] * 4
    time.sleep(0.7)
    assert sorted(statuses(url, 5, caller)) == [200] + [429] * 4


def test_refused_requests_do_not_keep_the_caller_out(url: str) -> None:
    caller = somebody()
    statuses(url, 5, caller)
    deadline = time.monotonic() + 3
    refusals = 0
    while ask(url, caller).status_code == 429:
        assert time.monotonic() < deadline
        refusals += 1
    assert refusals > 0


def test_other_origins_may_read_what_is_left(start_service: StartService) -> None:
    origin = {"Origin": "https://shop.example"}
    with start_service(HTTP_CORS_ORIGINS="https://shop.example") as server:
        headers = httpx2.get(server.url + COUNTED, headers=origin).headers
    exposed = headers["access-control-expose-headers"].lower().split(", ")
    assert {name for name in headers if "ratelimit" in name} <= set(exposed)


def test_probes_are_not_counted(url: str) -> None:
    caller = somebody()
    statuses(url, 6, caller)
    for probe in ("live", "ready", "startup"):
        response = httpx2.get(f"{url}/health/{probe}", headers=caller)
        assert response.status_code == 200
        assert "ratelimit" not in response.headers
    assert httpx2.get(f"{url}/health/nothing-here", headers=caller).status_code == 429


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.1", "::ffff:203.0.113.2", False),
    ],
)
def test_with_ipv6_a_customer_is_a_whole_network(
    url: str, one: str, other: str, *, same: bool
) -> None:
    statuses(url, 5, {"X-Forwarded-For": one})
    refused = ask(url, {"X-Forwarded-For": other}).status_code == 429
    assert refused == same


def test_a_burst_over_two_replicas_is_admitted_up_to_the_quota_exactly(
    start_service: StartService,
) -> None:
    shared = {**quota(100), **BEHIND_PROXY}
    caller = somebody()
    with (
        start_service(**shared) as one,
        start_service(**shared) as other,
        ThreadPoolExecutor(10) as threads,
    ):
        urls = [one.url, other.url] * 5
        bursts = threads.map(statuses, urls, [15] * 10, [caller] * 10)
        seen = Counter(status for burst in bursts for status in burst)
    assert seen == {200: 100, 429: 50}


def test_several_workers_share_one_count(start_service: StartService) -> None:
    with start_service(**quota(10), WORKERS="2") as server:
        time.sleep(1)
        answers = [httpx2.get(server.url + COUNTED).status_code for _ in range(20)]
    assert Counter(answers) == {200: 10, 429: 10}


def test_a_forged_address_gains_nothing(start_service: StartService) -> None:
    with start_service(**quota(3)) as server:
        answers = [ask(server.url, forged).status_code for forged in forgeries()]
    assert answers == [200] * 3 + [429] * 5


def forgeries() -> list[dict[str, str]]:
    """Every header that some proxy or framework believes."""
    chain = ", ".join(f"203.0.113.{number}" for number in range(250))
    return [
        somebody(),
        {"Forwarded": "for=203.0.113.9;proto=https"},
        {"X-Real-IP": "203.0.113.9"},
        {"X-Client-IP": "203.0.113.9", "True-Client-IP": "203.0.113.9"},
        {"CF-Connecting-IP": "203.0.113.9", "X-Originating-IP": "203.0.113.9"},
        {"X-Forwarded-For": chain},
        {"X-Forwarded-For": "2001:db8::1, 127.0.0.1"},
        {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    ]


def test_every_method_and_unknown_routes_count(url: str) -> None:
    caller = somebody()
    asked = [("HEAD", COUNTED), ("OPTIONS", COUNTED), ("DELETE", COUNTED), ("GET", "/nothing")]
    left = [
        limits_of(httpx2.request(method, url + path, headers=caller)).remaining
        for method, path in asked
    ]
    assert left == [4, 3, 2, 1]


def test_what_a_client_tells_the_trusted_proxy_gains_nothing_either(url: str) -> None:
    seen_by_proxy = somebody()["X-Forwarded-For"]
    answers = [
        ask(url, {"X-Forwarded-For": f"203.0.113.{i}, {seen_by_proxy}"}).status_code
        for i in range(6)
    ]
    assert answers == [200] * 5 + [429]


def test_the_document_says_that_requests_may_be_refused(client: httpx2.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "429" in paths["/problems/{slug}"]["get"]["responses"]
    assert "429" not in paths["/health/live"]["get"]["responses"]


@pytest.mark.parametrize("settings", [{"WORKERS": "2"}, {"ENVIRONMENT": "production"}])
def test_processes_that_could_not_share_do_not_start(
    settings: dict[str, str], environment: dict[str, str], production: dict[str, str]
) -> None:
    result = run_command("serve", **{**environment, **production, **settings, "REDIS_URL": ""})
    assert result.returncode == 2
    assert "REDIS_URL" in result.stderr


def test_one_process_in_development_needs_no_redis(start_service: StartService) -> None:
    with start_service(**quota(3, "1"), REDIS_URL="") as server:
        assert statuses(server.url, 5) == [200] * 3 + [429] * 2
        time.sleep(1.1)
        assert statuses(server.url, 1) == [200]
