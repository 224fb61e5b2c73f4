"""Each user has a quota of its own; the routes that take credentials have a stricter one."""

from collections.abc import Generator

import httpx2
import pytest

from app.dev.servers import free_port
from tests.kit.identity import Identity, new_identity, password_grant
from tests.kit.rate_limits import (
    BEHIND_PROXY,
    COUNTED,
    StartService,
    limits_of,
    quota,
    somebody,
    statuses,
)

LENIENT = {"AUTH_ATTEMPTS_PER_ADDRESS": "1000", "AUTH_ATTEMPTS_PER_ACCOUNT": "1000"}
STRICT = {"RATE_LIMIT_CREDENTIALS_QUOTA": "3", "RATE_LIMIT_CREDENTIALS_WINDOW": "60"}


@pytest.fixture(scope="module")
def url(start_service: StartService) -> Generator[str]:
    with start_service(**quota(5), **STRICT, **BEHIND_PROXY, **LENIENT) as server:
        yield server.url


@pytest.fixture
def users(client: httpx2.Client) -> list[Identity]:
    return [new_identity(client), new_identity(client)]


def test_users_behind_one_address_have_a_quota_each(url: str, users: list[Identity]) -> None:
    address = somebody()
    for user in users:
        answers = statuses(url, 6, {**address, **user.headers})
        assert answers == [200] * 5 + [429]
    assert statuses(url, 1, address) == [200]


def test_another_address_or_token_gives_a_user_no_other_quota(
    url: str, users: list[Identity], client: httpx2.Client
) -> None:
    user = users[0]
    again = password_grant(client, user.email).json()["access_token"]
    tokens = [user.headers, {"Authorization": f"Bearer {again}"}] * 3
    answers = [
        httpx2.get(url + COUNTED, headers={**somebody(), **token}).status_code for token in tokens
    ]
    assert answers == [200] * 5 + [429]


def test_a_token_that_is_not_accepted_counts_for_the_address(url: str) -> None:
    address = somebody()
    answers = [
        httpx2.get(
            url + COUNTED, headers={**address, "Authorization": f"Bearer nonsense-{number}"}
        ).status_code
        for number in range(6)
    ]
    assert answers[-1] == 429


def guess(url: str, caller: dict[str, str]) -> httpx2.Response:
    form = {"grant_type": "password", "username": "a@users.example.com", "password": "wrong guess"}
    return httpx2.post(f"{url}/v1/tokens", data=form, headers=caller)


@pytest.mark.parametrize("path", ["/v1/tokens", "/tokens"])
def test_the_routes_that_take_credentials_have_a_stricter_quota(url: str, path: str) -> None:
    caller = somebody()
    for _ in range(3):
        assert limits_of(guess(url, caller)).policy == "credentials"
    refused = httpx2.post(url + path, data={"grant_type": "password"}, headers=caller)
    assert refused.status_code == 429
    assert refused.json()["violated-policies"] == ["credentials"]
    assert statuses(url, 1, caller) == [200]


def test_guesses_while_signed_in_count_for_the_address_too(url: str, users: list[Identity]) -> None:
    caller = somebody()
    answers = [
        guess(url, {**caller, **users[number % 2].headers}).status_code for number in range(4)
    ]
    assert answers == [400] * 3 + [429]


@pytest.mark.parametrize(("policy", "answer"), [("local", 429), ("refuse", 503)])
def test_without_redis_credentials_are_never_unlimited(
    policy: str, answer: int, start_service: StartService
) -> None:
    away = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    refusing = {"RATE_LIMIT_CREDENTIALS_FAILURE_POLICY": policy}
    with start_service(**quota(100), **STRICT, **LENIENT, **away, **refusing) as server:
        answers = [guess(server.url, {}).status_code for _ in range(5)]
        assert statuses(server.url, 1) == [200]
    assert answers[3:] == [answer] * 2
