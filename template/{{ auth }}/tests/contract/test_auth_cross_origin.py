"""Other origins that may call at all may sign in, and learn why they are refused."""

import httpx2

from tests.kit.identity import StartService


def test_other_origins_may_send_tokens(start_service: StartService) -> None:
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    with start_service(HTTP_CORS_ORIGINS="https://shop.example") as server:
        headers = httpx2.options(f"{server.url}/v1/nothing-here", headers=preflight).headers
    assert "Authorization" in headers["access-control-allow-headers"].split(", ")
    assert "WWW-Authenticate" in headers["access-control-expose-headers"].split(", ")
