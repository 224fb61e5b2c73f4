"""Security headers, request ids and cross-origin rules hold for every answer."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2
import pytest

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]
ROUTES = ["/health/live", "/v1/nothing-here", "/problems/not-found"]


@pytest.mark.parametrize("path", ROUTES)
def test_security_headers_are_on_every_answer(client: httpx2.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
    assert headers["content-security-policy"] == policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers.get("x-xss-protection", "0") == "0"
    assert "server" not in headers
    assert "strict-transport-security" not in headers


def test_what_came_without_tls_is_refused_and_not_redirected(start_service: StartService) -> None:
    public = {
        "PUBLIC_URL": "https://api.example.com",
        "ALLOWED_HOSTS": "127.0.0.1,api.example.com",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with start_service(**public) as service, httpx2.Client(base_url=service.url) as client:
        for seen in ("http", "HTTP", "http, https", "https, http", "https,", "wss", ""):
            plain = {"X-Forwarded-Proto": seen}
            assert client.get("/problems/conflict", headers=plain).status_code == 400
            assert client.get("/health/live", headers=plain).status_code == 200
        for seen in ("https", "HTTPS", "https, https"):
            headers = {"X-Forwarded-Proto": seen}
            assert client.get("/problems/conflict", headers=headers).status_code == 200
        assert client.get("/problems/conflict").status_code == 200


def test_hsts_is_sent_only_where_a_trusted_proxy_saw_tls(start_service: StartService) -> None:
    seen_tls = {"X-Forwarded-Proto": "https"}
    with start_service(TRUSTED_PROXIES="127.0.0.1") as server:
        headers = httpx2.get(f"{server.url}/health/live", headers=seen_tls).headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def test_a_forwarded_header_from_anybody_else_is_ignored(client: httpx2.Client) -> None:
    headers = client.get("/health/live", headers={"X-Forwarded-Proto": "https"}).headers
    assert "strict-transport-security" not in headers


def test_a_well_formed_request_id_is_kept(client: httpx2.Client) -> None:
    response = client.get("/v1/nothing-here", headers={"X-Request-ID": "order/42+a=_-"})
    assert response.headers.get_list("x-request-id") == ["order/42+a=_-"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "é", 'a"b'])
def test_a_malformed_request_id_is_replaced(client: httpx2.Client, bad: str) -> None:
    response = client.get("/health/live", headers=[(b"X-Request-ID", bad.encode())])
    assert response.status_code == 200
    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-request-id"])


def test_cross_origin_requests_are_off_by_default(client: httpx2.Client) -> None:
    headers = client.get("/health/live", headers={"Origin": "https://shop.example"}).headers
    assert not [name for name in headers if name.startswith("access-control-")]


def test_only_listed_origins_may_call(start_service: StartService) -> None:
    with start_service(HTTP_CORS_ORIGINS="https://shop.example") as server:
        url = f"{server.url}/health/live"
        allowed = httpx2.get(url, headers={"Origin": "https://shop.example"}).headers
        assert allowed["access-control-allow-origin"] == "https://shop.example"
        assert allowed["vary"] == "Origin"
        assert "access-control-allow-credentials" not in allowed
        for origin in (
            "null",
            "https://shop.example.evil",
            "http://shop.example",
            "https://ashop.example",
        ):
            denied = httpx2.get(url, headers={"Origin": origin}).headers
            assert "access-control-allow-origin" not in denied


def test_other_origins_may_use_the_headers_of_every_service(start_service: StartService) -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PATCH"}
    with start_service(HTTP_CORS_ORIGINS="https://shop.example") as server:
        allowed = httpx2.options(f"{server.url}/v1/nothing-here", headers=preflight)
    assert allowed.status_code == 204
    sent = set(allowed.headers["access-control-allow-headers"].split(", "))
    assert sent >= {"Content-Type", "If-Match", "Prefer", "X-Request-ID"}
    read = set(allowed.headers["access-control-expose-headers"].split(", "))
    assert read >= {"ETag", "Link", "Location", "Retry-After", "X-Request-ID"}


def test_head_is_get_without_a_body(client: httpx2.Client) -> None:
    get, head = client.get("/problems/conflict"), client.head("/problems/conflict")
    assert head.content == b""
    assert set(head.headers) == set(get.headers)
    for name in ("cache-control", "content-length", "content-type", "vary"):
        assert head.headers.get(name) == get.headers.get(name)
