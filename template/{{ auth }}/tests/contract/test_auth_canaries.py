"""Passwords and tokens that were sent anywhere appear in no log line and in no answer."""

import json
from urllib.parse import quote

import httpx2
import pytest

from app.access import ACCESS
from app.dev.servers import free_port
from tests.kit.identity import StartService, new_identity, password_grant, refresh_grant, register

PASSWORD = "canary-password-7f3a"
TOKEN = "canary-token-91c4.x.y"
ANYWHERE = "canary"


def send_everywhere(client: httpx2.Client, secret: str, headers: dict[str, str]) -> list[str]:
    """Call every route with a secret in the places where careless clients put it."""
    body = json.dumps({"password": secret, "email": "a@b.example", "token": secret})
    form = f"grant_type=password&username=a&password={quote(secret)}&token={quote(secret)}"
    answers: list[str] = []
    for method, template in ACCESS:
        path = template.format(slug="conflict", customer_id="nonsense", order_id="nonsense")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        for content, content_type in ((body, kind), (form, "application/x-www-form-urlencoded")):
            sent = {**headers, "Content-Type": content_type, "Cookie": f"session={secret}"}
            query = {"access_token": secret}
            response = client.request(method, path, params=query, content=content, headers=sent)
            assert response.status_code < 500 or response.status_code == 503, response.text
            answers.append(f"{response.headers}{response.text}")
    return answers


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Token"])
def test_what_is_refused_is_not_repeated(start_service: StartService, scheme: str) -> None:
    with (
        start_service(LOG_LEVEL="DEBUG") as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        answers = send_everywhere(client, PASSWORD, headers)
        server.terminate()
        logged = server.output.read_text()
    assert "/v1/token-revocations" in logged, "something was logged at all"
    assert ANYWHERE not in logged
    assert not [answer for answer in answers if ANYWHERE in answer]


def test_what_is_accepted_is_not_repeated_either(start_service: StartService) -> None:
    with (
        start_service(LOG_LEVEL="DEBUG") as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        email = register(client, password=PASSWORD)
        tokens = password_grant(client, email, PASSWORD).json()
        renewed = refresh_grant(client, tokens["refresh_token"]).json()
        headers = {"Authorization": f"Bearer {renewed['access_token']}"}
        answers = send_everywhere(client, renewed["refresh_token"], headers)
        refresh_grant(client, tokens["refresh_token"])
        server.terminate()
        logged = server.output.read_text()
    pairs = [(t["access_token"], t["refresh_token"]) for t in (tokens, renewed)]
    secrets = [PASSWORD, *(secret for pair in pairs for secret in pair)]
    assert "refresh_token_reused" in logged
    assert not [secret for secret in secrets if secret in logged]
    assert not [answer for answer in answers for secret in secrets if secret in answer]


def test_a_failing_database_makes_nobody_talkative(start_service: StartService) -> None:
    with start_service() as server, httpx2.Client(base_url=server.url) as client:
        token = new_identity(client).tokens["access_token"]
    away = {"DATABASE_URL": f"postgresql://canary:canary@127.0.0.1:{free_port()}/canary"}
    with (
        start_service(LOG_LEVEL="DEBUG", **away) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        answers = send_everywhere(client, PASSWORD, {"Authorization": f"Bearer {token}"})
        server.terminate()
        logged = server.output.read_text()
    assert any('"status":503' in answer for answer in answers)
    for text in (logged, *answers):
        assert ANYWHERE not in text
        assert token not in text
