"""Refresh tokens: used once, rotated, revoked with their whole family (RFC 9700, RFC 7009)."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest

from tests.kit.identity import (
    StartService,
    anonymous_client,
    new_identity,
    refresh_grant,
    register,
)
from tests.kit.locks import waiting_for_locks
from tests.kit.waiting import eventually
from tests.kit.wire import connection_to

Sql = psycopg.Connection[tuple[object, ...]]


def refresh_token(client: httpx2.Client) -> str:
    """The first refresh token of a new user."""
    return new_identity(client).tokens["refresh_token"]


def revoke(client: httpx2.Client, token: str, **more: str) -> httpx2.Response:
    return client.post("/v1/token-revocations", data={"token": token, **more})


def test_a_refresh_gives_the_next_pair_of_tokens(client: httpx2.Client) -> None:
    user = new_identity(client)
    response = refresh_grant(client, user.tokens["refresh_token"])
    assert response.status_code == 200
    assert response.json()["refresh_token"] != user.tokens["refresh_token"]
    assert response.json()["access_token"] != user.tokens["access_token"]
    assert response.json()["scope"] == user.tokens["scope"]


def test_using_a_token_again_ends_the_session_with_its_newest_token(client: httpx2.Client) -> None:
    first = refresh_token(client)
    newest = refresh_grant(client, first).json()["refresh_token"]

    reused = refresh_grant(client, first)

    assert reused.status_code == 401
    assert reused.json()["error"] == "invalid_grant"
    assert reused.headers["www-authenticate"].startswith("Bearer")
    assert refresh_grant(client, newest).status_code == 401


def test_reuse_ends_only_that_session(client: httpx2.Client) -> None:
    first, other = refresh_token(client), refresh_token(client)
    refresh_grant(client, first)
    refresh_grant(client, first)
    assert refresh_grant(client, other).status_code == 200


def test_of_concurrent_refreshes_one_is_served_and_one_session_lives(
    client: httpx2.Client, environment: dict[str, str], sql: Sql
) -> None:
    token = refresh_token(client)
    with (
        psycopg.connect(environment["DATABASE_URL"]) as holder,
        ThreadPoolExecutor(10) as pool,
    ):
        holder.execute("LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE")
        waiting = [pool.submit(refresh_grant, client, token) for _ in range(10)]
        time.sleep(1)  # all have come in
        holder.rollback()
        answers = [answer.result() for answer in waiting]
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    query = """
        SELECT count(*) FROM refresh_tokens AS token JOIN token_families AS family
            ON family.id = token.family_id AND family.revoked_at IS NULL
        WHERE token.used_at IS NULL AND token.family_id =
            (SELECT family_id FROM refresh_tokens WHERE token_hash = %s)
    """
    row = sql.execute(query, [hashlib.sha256(token.encode()).digest()]).fetchone()
    assert row == (1,)


def test_a_refresh_that_waits_while_another_replica_exchanges_its_token_ends_nothing(
    start_service: StartService, environment: dict[str, str]
) -> None:
    slow = {"DATABASE_POOL_SIZE": "1", "DATABASE_POOL_OVERFLOW": "0", "DATABASE_POOL_TIMEOUT": "20"}
    patient = {"DATABASE_LOCK_TIMEOUT": "20", "DATABASE_STATEMENT_TIMEOUT": "20"}
    with (
        anonymous_client(start_service) as here,
        anonymous_client(start_service, **slow, **patient) as there,
        psycopg.connect(environment["DATABASE_URL"], autocommit=True) as sql,
        ThreadPoolExecutor(2) as pool,
    ):
        token = refresh_token(here)
        with psycopg.connect(environment["DATABASE_URL"]) as holder:
            holder.execute("LOCK TABLE users IN SHARE MODE")  # nobody can register
            pool.submit(register, there)
            eventually(lambda: waiting_for_locks(sql))
            late = pool.submit(refresh_grant, there, token)
            time.sleep(2)  # it has come in, and waits for the one connection
            served = refresh_grant(here, token)
        assert late.result().status_code == 401
        assert refresh_grant(here, served.json()["refresh_token"]).status_code == 200


def test_who_does_not_wait_for_the_answer_keeps_the_session(start_service: StartService) -> None:
    with start_service() as server, httpx2.Client(base_url=server.url) as client:
        token = refresh_token(client)
        body = f"grant_type=refresh_token&refresh_token={token}"
        head = [
            "POST /v1/tokens HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        with connection_to(server) as late:
            late.sendall("\r\n".join([*head, "", body[:-1]]).encode())
            time.sleep(0.5)  # it has come in, but for its last byte
            served = refresh_grant(client, token)
            late.sendall(body[-1:].encode())
            assert late.recv(12) == b"HTTP/1.1 401"
        assert refresh_grant(client, served.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("token", ["nonsense", "x" * 5000, "\0", "ü"])
def test_an_unknown_refresh_token_is_refused(client: httpx2.Client, token: str) -> None:
    assert refresh_grant(client, token).status_code == 401


def test_an_access_token_is_no_refresh_token(client: httpx2.Client) -> None:
    user = new_identity(client)
    assert refresh_grant(client, user.tokens["access_token"]).status_code == 401
    assert refresh_grant(client, user.tokens["refresh_token"]).status_code == 200


def test_a_refresh_token_is_stored_as_a_hash_only(client: httpx2.Client, sql: Sql) -> None:
    token = refresh_token(client)
    digest = hashlib.sha256(token.encode()).digest()
    stored = sql.execute("SELECT r::text FROM refresh_tokens r WHERE token_hash = %s", [digest])
    row = stored.fetchone()
    assert row is not None
    assert token not in str(row[0])


@pytest.mark.parametrize("setting", ["AUTH_REFRESH_TOKEN_TTL", "AUTH_REFRESH_TOKEN_IDLE_TTL"])
def test_an_unused_token_expires(start_service: StartService, setting: str) -> None:
    with start_service(**{setting: "1"}) as server, httpx2.Client(base_url=server.url) as client:
        token = refresh_token(client)
        time.sleep(1.1)
        assert refresh_grant(client, token).status_code == 401


def test_a_session_ends_in_time_however_often_it_is_refreshed(start_service: StartService) -> None:
    with anonymous_client(start_service, AUTH_REFRESH_TOKEN_TTL="2") as client:
        started, token, served = time.monotonic(), refresh_token(client), 0
        while (response := refresh_grant(client, token)).status_code == 200:
            token, served = response.json()["refresh_token"], served + 1
            time.sleep(0.2)
            assert time.monotonic() - started < 10
    assert served > 1


def test_revoking_a_refresh_token_ends_its_session(client: httpx2.Client) -> None:
    first = refresh_token(client)
    newest = refresh_grant(client, first).json()["refresh_token"]
    response = revoke(client, first)
    assert (response.status_code, response.content) == (200, b"")
    assert "content-type" not in response.headers
    assert refresh_grant(client, newest).status_code == 401


def test_revoking_what_is_no_token_is_fine_too(client: httpx2.Client) -> None:
    for token in ("nonsense", "a.b.c", "\0"):
        response = revoke(client, token, token_type_hint="unheard-of")
        assert response.status_code == 200
        assert response.content == b""
    assert client.post("/v1/token-revocations", data={"token": ""}).status_code == 400


def test_a_revocation_needs_no_access_token(client: httpx2.Client) -> None:
    token = refresh_token(client)
    del client.headers["Authorization"]
    assert revoke(client, token).status_code == 200
    assert refresh_grant(client, token).status_code == 401


def test_what_has_expired_is_purged(
    start_service: StartService, client: httpx2.Client, sql: Sql
) -> None:
    user = new_identity(client)
    sql.execute(
        "UPDATE token_families SET expires_at = now() - interval '1 day' WHERE user_id ="
        " (SELECT id FROM users WHERE email = %s)",
        [user.email],
    )
    left = "SELECT count(*) FROM token_families f JOIN users u ON u.id = user_id WHERE u.email = %s"
    assert sql.execute(left, [user.email]).fetchone() == (1,)
    with start_service(AUTH_PURGE_INTERVAL="1"):
        deadline = time.monotonic() + 10
        while sql.execute(left, [user.email]).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.1)
