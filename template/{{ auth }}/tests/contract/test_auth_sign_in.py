"""Registering and signing in: who has no account learns nothing, who guesses is slowed down."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2
import psycopg
import pytest

from tests.kit.identity import (
    PASSWORD,
    StartService,
    anonymous_client,
    new_identity,
    password_grant,
    refresh_grant,
    register,
    request_token,
)
from tests.kit.locks import waiting_for_locks
from tests.kit.waiting import eventually
from tests.kit.wire import half_a_request

Sql = psycopg.Connection[tuple[object, ...]]
ROTATING = {"TRUSTED_PROXIES": "127.0.0.1"}


def from_address(number: int) -> dict[str, str]:
    """The header of a proxy that saw another client."""
    return {"X-Forwarded-For": f"203.0.113.{number}"}


def attempt(client: httpx2.Client, email: str, password: str, address: int) -> int:
    form = {"grant_type": "password", "username": email, "password": password}
    return client.post("/v1/tokens", data=form, headers=from_address(address)).status_code


def test_a_new_user_can_sign_in_at_once(client: httpx2.Client) -> None:
    response = password_grant(client, register(client))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 900
    assert set(answer) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}


def test_addresses_are_the_same_in_any_case(client: httpx2.Client) -> None:
    email = register(client)
    assert password_grant(client, email.upper()).status_code == 200


def test_an_address_works_as_it_was_registered(client: httpx2.Client) -> None:
    email = register(client, f"u\u0308{uuid4().hex}@xn--bcher-kva.de")
    assert password_grant(client, email).status_code == 200


def test_registering_a_known_address_answers_alike_and_changes_nothing(
    client: httpx2.Client,
) -> None:
    known, fresh = register(client), f"{uuid4().hex}@users.example.com"
    answers = [
        client.post("/v1/users", json={"email": email, "password": "another password"})
        for email in (known, fresh)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == {"email": known}
    assert answers[1].json() == {"email": fresh}
    assert set(answers[0].headers) == set(answers[1].headers)
    assert password_grant(client, known, "another password").status_code == 400
    assert password_grant(client, known).status_code == 200


@pytest.mark.parametrize("extra", ["id", "admin", "password_hash", "disabled_at"])
def test_nothing_but_address_and_password_can_be_registered(
    client: httpx2.Client, extra: str
) -> None:
    body = {"email": "someone@users.example.com", "password": PASSWORD, extra: True}
    assert client.post("/v1/users", json=body).status_code == 422


@pytest.mark.parametrize("password", ["seven77", "x" * 129])
def test_a_password_has_8_to_128_characters(client: httpx2.Client, password: str) -> None:
    body = {"email": "someone@users.example.com", "password": password}
    response = client.post("/v1/users", json=body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["detail"] == "must have 8 to 128 characters"
    assert password not in response.text


def test_a_wrong_password_and_an_unknown_user_answer_alike(client: httpx2.Client) -> None:
    wrong = password_grant(client, register(client), "not the password")
    unknown = password_grant(client, f"{uuid4().hex}@users.example.com")
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json()["error"] == unknown.json()["error"] == "invalid_grant"
    different = {"request_id"}
    assert {k: v for k, v in wrong.json().items() if k not in different} == {
        k: v for k, v in unknown.json().items() if k not in different
    }


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=client_credentials", "unsupported_grant_type"),
        ("grant_type=password&username=a@b.example", "invalid_request"),
        ("grant_type=password&password=x&username=", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=password&grant_type=password", "invalid_request"),
        ("grant_type=%ff", "invalid_request"),
        ("&".join(f"p{number}=1" for number in range(99)), "invalid_request"),
        ("grant_type=password&username=a&password=b&scope=root", "invalid_scope"),
        ("grant_type=password&username=a&password=b&scope=%20", "invalid_scope"),
        ("grant_type=password&username=a&password=b&scope=%00", "invalid_scope"),
        ("grant_type=password&username=a&password=b&scope=%22%5C%C3%A9", "invalid_scope"),
        ("grant_type=password&username=a&password=b&password=c", "invalid_request"),
        ("grant_type=PASSWORD&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=a", "unsupported_grant_type"),
    ],
)
def test_a_malformed_token_request_says_what_is_wrong(
    client: httpx2.Client, form: str, error: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = client.post("/v1/tokens", content=form, headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["error"] == error


def test_a_token_request_must_be_a_form(client: httpx2.Client) -> None:
    response = client.post("/v1/tokens", json={"grant_type": "password"})
    assert response.status_code == 415


@pytest.mark.parametrize("username", ["\0", "a\0b@users.example.com", "ü@ü", "x" * 10_000])
def test_a_strange_user_name_is_only_wrong(client: httpx2.Client, username: str) -> None:
    assert password_grant(client, username).status_code == 400


def test_a_client_that_hangs_up_while_signing_in_is_no_failure(start_service: StartService) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with start_service() as server:
        with half_a_request(server, "/v1/tokens", form):
            pass
        eventually(lambda: server.events("request"))
        assert "error" not in {line["level"] for line in server.lines()}


def test_guessing_one_account_from_many_addresses_is_slowed_down_but_not_its_user(
    start_service: StartService,
) -> None:
    limits = {"AUTH_ATTEMPTS_PER_ACCOUNT": "5", "AUTH_ATTEMPTS_WINDOW": "5"}
    with anonymous_client(start_service, **ROTATING, **limits) as client:
        email = register(client)
        assert attempt(client, email, PASSWORD, address=250) == 200
        guesses = [attempt(client, email, "wrong", number) for number in range(8)]
        assert guesses == [400] * 5 + [429] * 3
        assert attempt(client, email, PASSWORD, address=251) == 429
        assert attempt(client, email, PASSWORD, address=250) == 200
        time.sleep(5.1)
        assert attempt(client, email, PASSWORD, address=251) == 200


def test_trying_many_accounts_from_one_address_is_slowed_down_for_that_address(
    start_service: StartService,
) -> None:
    with anonymous_client(start_service, **ROTATING, AUTH_ATTEMPTS_PER_ADDRESS="5") as client:
        email = register(client)
        guesses = [
            attempt(client, f"{uuid4().hex}@users.example.com", "wrong", 99) for _ in range(7)
        ]
        assert guesses == [400] * 5 + [429] * 2
        form = {"grant_type": "password", "username": email, "password": PASSWORD}
        refused = client.post("/v1/tokens", data=form, headers=from_address(99))
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 300
        assert attempt(client, email, PASSWORD, address=98) == 200


def test_an_attempt_that_is_not_looked_at_is_in_the_log(start_service: StartService) -> None:
    with (
        start_service(**ROTATING, AUTH_ATTEMPTS_PER_ACCOUNT="1") as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        email = f"{uuid4().hex}@users.example.com"
        assert [attempt(client, email, "wrong", number) for number in range(2)] == [400, 429]
        (throttled,) = server.events("sign_in_throttled")
        assert (throttled["level"], throttled["of"]) == ("warning", "account")


def test_attempts_that_are_refused_do_not_count(start_service: StartService, sql: Sql) -> None:
    with anonymous_client(start_service, **ROTATING, AUTH_ATTEMPTS_PER_ADDRESS="3") as client:
        sql.execute("TRUNCATE sign_in_attempts")
        for _ in range(8):
            attempt(client, f"{uuid4().hex}@users.example.com", "wrong", 96)
        assert sql.execute("SELECT max(count) FROM sign_in_attempts").fetchone() == (3,)


def test_signing_in_often_is_no_guessing(start_service: StartService) -> None:
    limits = {"AUTH_ATTEMPTS_PER_ACCOUNT": "2", "AUTH_ATTEMPTS_PER_ADDRESS": "2"}
    with anonymous_client(start_service, **ROTATING, **limits) as client:
        email = register(client)
        for _ in range(5):
            assert attempt(client, email, PASSWORD, address=97) == 200


def test_a_disabled_user_can_neither_sign_in_nor_refresh(client: httpx2.Client, sql: Sql) -> None:
    user = new_identity(client)
    sql.execute("UPDATE users SET disabled_at = now() WHERE email = %s", [user.email])
    assert password_grant(client, user.email).status_code == 400
    assert refresh_grant(client, user.tokens["refresh_token"]).status_code == 401


def test_a_user_who_is_disabled_while_signing_in_gets_no_session(
    client: httpx2.Client, environment: dict[str, str], sql: Sql
) -> None:
    email = register(client)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(environment["DATABASE_URL"]) as admin:
        admin.execute("SELECT 1 FROM users WHERE email = %s FOR UPDATE", [email])
        signing_in = pool.submit(password_grant, client, email)
        eventually(lambda: waiting_for_locks(sql))  # the password was right
        admin.execute("UPDATE users SET disabled_at = now() WHERE email = %s", [email])
        admin.commit()
        assert signing_in.result().status_code == 400


def test_what_is_logged_about_tokens_names_the_user(start_service: StartService) -> None:
    with start_service() as server, httpx2.Client(base_url=server.url) as client:
        user, other = new_identity(client), new_identity(client)
        refresh_grant(client, user.tokens["refresh_token"])
        refresh_grant(client, user.tokens["refresh_token"])
        refresh_grant(client, "unknown")
        for kind in ("access_token", "refresh_token"):
            client.post("/v1/token-revocations", data={"token": other.tokens[kind]})
        server.terminate()
        first, second = [line["user_id"] for line in server.events("signed_in")]
        (reused,) = server.events("refresh_token_reused")
        refused = server.events("refresh_refused")
        revoked = server.events("token_revoked")
    assert reused["user_id"] == first
    assert [line["user_id"] for line in refused] == [first, None]
    assert [line["user_id"] for line in revoked] == [second] * 2


def test_sign_ins_are_logged_and_credentials_are_not(start_service: StartService) -> None:
    with start_service() as server, httpx2.Client(base_url=server.url) as client:
        user = new_identity(client)
        password_grant(client, user.email, "wrong-password-canary")
        refreshed = refresh_grant(client, user.tokens["refresh_token"]).json()
        refresh_grant(client, user.tokens["refresh_token"])
        request_token(client, grant_type="password", username="name-canary", password=PASSWORD)
        client.post("/v1/users", json={"email": "canary", "password": "short"})
        server.terminate()
        logged = server.output.read_text()
        events = {line["event"] for line in server.lines()}
    assert events >= {
        "user_registered",
        "signed_in",
        "sign_in_failed",
        "token_refreshed",
        "refresh_token_reused",
    }
    secrets = [PASSWORD, "canary", *user.tokens.values(), *refreshed.values()]
    assert not [s for s in secrets if isinstance(s, str) and len(s) > 6 and s in logged]
