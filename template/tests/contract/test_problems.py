"""Every failure is a problem (RFC 9457), whoever noticed it."""

import httpx2
import pytest

from app.chassis.errors import MOST_VIOLATIONS, problem_types, violations
from tests.kit.processes import ServiceProcess
from tests.kit.wire import exchange


def assert_problem(response: httpx2.Response, status: int, slug: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"].endswith(f"/problems/{slug}")
    assert body["request_id"] == response.headers["x-request-id"]


def test_an_unknown_route_is_a_problem(client: httpx2.Client) -> None:
    response = client.get("/v1/nothing-here")
    assert_problem(response, 404, "not-found")
    assert response.json()["instance"] == "/v1/nothing-here"


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: httpx2.Client) -> None:
    response = client.delete("/health/live")
    assert_problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_head_request_that_is_refused_gets_no_body(server: ServiceProcess) -> None:
    refused = b"HEAD /v1/nothing-here HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
    last = b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    first, second, rest = exchange(server, refused + last).split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 406 ")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert rest == b""


def test_no_more_violations_are_listed_than_anybody_reads() -> None:
    wrong = {"type": "extra_forbidden", "loc": ("body", "x"), "msg": ""}
    assert len(violations([wrong] * (MOST_VIOLATIONS + 1))) == MOST_VIOLATIONS


@pytest.mark.parametrize("host", ["attacker.example", "localhost:65536", "localhost:x"])
def test_a_foreign_host_is_refused(client: httpx2.Client, host: str) -> None:
    response = client.get("/v1/nothing-here", headers={"Host": host})
    assert_problem(response, 400, "bad-request")


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/vnd.other+json"])
def test_what_cannot_be_produced_is_not_acceptable(client: httpx2.Client, accept: str) -> None:
    response = client.get("/v1/nothing-here", headers={"Accept": accept})
    assert_problem(response, 406, "not-acceptable")


@pytest.mark.parametrize("slug", sorted(problem_types()))
def test_each_problem_type_is_documented(client: httpx2.Client, slug: str) -> None:
    document = client.get(f"/problems/{slug}").json()
    assert document["type"].endswith((f"/problems/{slug}", f"/http-problem-types#{slug}"))
    assert document["title"]
    assert document["description"]


def test_a_type_that_is_never_emitted_is_not_documented(client: httpx2.Client) -> None:
    assert client.get("/problems/no-such-problem").status_code == 404
