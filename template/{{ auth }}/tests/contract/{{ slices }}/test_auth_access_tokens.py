"""Access tokens: whatever is not exactly what the service issued is refused (RFC 8725, 9068)."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.chassis.auth.errors import CHALLENGE
from tests.kit.forgery import Json, es256, forged, hs256, parts_of, unsigned
from tests.kit.identity import (
    Identity,
    StartService,
    anonymous_client,
    new_identity,
    new_key,
    pem,
    public_pem,
    refresh_grant,
)

KEY = new_key()
PUBLIC = KEY.public_key()
ROUTE = "/v1/customers"


@pytest.fixture(scope="module")
def issuer(start_service: StartService) -> Generator[httpx2.Client]:
    """A server whose key the tests know; revocations count at once."""
    settings = {"AUTH_SIGNING_KEYS": pem(KEY), "AUTH_REVOCATION_DELAY": "0"}
    with start_service(**settings) as server, httpx2.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def user(issuer: httpx2.Client) -> Identity:
    return new_identity(issuer)


def use(client: httpx2.Client, token: str) -> httpx2.Response:
    return client.get(ROUTE, headers={"Authorization": f"Bearer {token}"})


def assert_refused(response: httpx2.Response) -> None:
    assert response.status_code == 401, response.text
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert response.headers["content-type"] == "application/problem+json"


def remade(user: Identity, header: Json | None = None, **claims: Any) -> str:
    """The user's token, changed and signed again with the service's own key."""
    old_header, old_claims = parts_of(user.tokens["access_token"])
    merged = {**old_claims, "jti": str(uuid4()), **claims}
    present = {name: value for name, value in merged.items() if value is not ...}
    kept = {k: v for k, v in {**old_header, **(header or {})}.items() if v is not ...}
    return forged(kept, present, es256(KEY))


def test_a_token_that_is_signed_again_unchanged_is_accepted(
    issuer: httpx2.Client, user: Identity
) -> None:
    assert use(issuer, user.tokens["access_token"]).status_code == 200
    assert use(issuer, remade(user)).status_code == 200
    assert use(issuer, remade(user, {"typ": "application/at+jwt"})).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", ..., 7, None])
def test_an_unsigned_token_is_refused(
    issuer: httpx2.Client, user: Identity, algorithm: object
) -> None:
    header, claims = parts_of(user.tokens["access_token"])
    header["alg"] = algorithm
    header = {name: value for name, value in header.items() if value is not ...}
    assert_refused(use(issuer, forged(header, claims, unsigned)))


def test_a_token_without_its_signature_is_refused(issuer: httpx2.Client, user: Identity) -> None:
    signed, _, _ = user.tokens["access_token"].rpartition(".")
    for token in (f"{signed}.", signed, f"{signed}.AAAA", f"{signed}..", "..", ".", "a.b.c"):
        assert_refused(use(issuer, token))


@pytest.mark.parametrize(
    "secret",
    [
        public_pem(KEY).encode(),
        public_pem(KEY).strip().encode(),
        PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        PUBLIC.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        b"",
    ],
)
def test_the_public_key_is_no_secret_to_sign_with(
    issuer: httpx2.Client, user: Identity, secret: bytes
) -> None:
    (jwk,) = issuer.get("/.well-known/jwks.json").json()["keys"]
    header, claims = parts_of(user.tokens["access_token"])
    for tried in (secret, json.dumps(jwk).encode(), urlsafe_b64decode(jwk["x"] + "==")):
        assert_refused(use(issuer, forged({**header, "alg": "HS256"}, claims, hs256(tried))))


@pytest.mark.parametrize("algorithm", ["ES384", "RS256", "EdDSA", "es256"])
def test_a_key_has_one_algorithm(issuer: httpx2.Client, user: Identity, algorithm: str) -> None:
    assert_refused(use(issuer, remade(user, {"alg": algorithm})))


@pytest.mark.parametrize(
    "key_id",
    [
        "' OR 1=1 --",
        "../../../../dev/null",
        "http://127.0.0.1/keys",
        "x" * 10_000,
        "x" * 5_000,
        "",
        None,
        7,
        ["a"],
        ...,
        str(uuid4()),
    ],
)
def test_a_token_of_an_unknown_key_is_refused(
    issuer: httpx2.Client, user: Identity, key_id: object
) -> None:
    token = remade(user, {"kid": key_id})
    if len(token) < 12_000:
        assert_refused(use(issuer, token))
    else:
        assert use(issuer, token).status_code in (401, 431)


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "crit"])
def test_a_token_cannot_bring_its_own_key(
    issuer: httpx2.Client, user: Identity, member: str
) -> None:
    stranger = new_key()
    header, claims = parts_of(user.tokens["access_token"])
    (jwk,) = issuer.get("/.well-known/jwks.json").json()["keys"]
    brought: Json = {"jwk": jwk, "jku": "http://127.0.0.1:1", "x5u": "http://127.0.0.1:1"}
    header[member] = brought.get(member, ["exp"])
    assert_refused(use(issuer, forged(header, claims, es256(stranger))))


@pytest.mark.parametrize("kind", ["JWT", "id+jwt", "rt+jwt", "logout+jwt", "", ..., None, 7])
def test_a_token_of_another_kind_is_refused(
    issuer: httpx2.Client, user: Identity, kind: object
) -> None:
    assert_refused(use(issuer, remade(user, {"typ": kind})))


def test_a_refresh_token_is_no_access_token(issuer: httpx2.Client, user: Identity) -> None:
    assert_refused(use(issuer, user.tokens["refresh_token"]))


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 3600},
        {"exp": ...},
        {"exp": str(NOW + 300)},
        {"exp": 10**30},
        {"exp": 10**400},
        {"exp": -1},
        {"exp": None},
        {"exp": True},
        {"exp": [NOW + 300]},
        {"nbf": NOW + 3600},
        {"nbf": "soon"},
        {"iat": NOW + 3600},
        {"iat": ...},
        {"iss": "https://elsewhere.example"},
        {"iss": ...},
        {"iss": ["order-service"]},
        {"aud": "another-service"},
        {"aud": ...},
        {"aud": ["another-service", "third-service"]},
        {"aud": []},
        {"aud": {"order-service": 1}},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": "'; DROP TABLE users; --"},
        {"sub": str(uuid4())},
        {"jti": ...},
        {"jti": 7},
        {"jti": "\0"},
        {"sid": ...},
        {"sid": str(uuid4())},
        {"scope": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    issuer: httpx2.Client, user: Identity, claims: Json
) -> None:
    assert_refused(use(issuer, remade(user, **claims)))


def test_a_token_may_be_meant_for_others_too(issuer: httpx2.Client, user: Identity) -> None:
    _, claims = parts_of(user.tokens["access_token"])
    assert use(issuer, remade(user, aud=["another-service", claims["aud"]])).status_code == 200


def test_clocks_may_differ_a_little(issuer: httpx2.Client, user: Identity) -> None:
    now = int(time.time())
    assert use(issuer, remade(user, exp=now - 5)).status_code == 200
    assert use(issuer, remade(user, nbf=now + 5)).status_code == 200
    assert_refused(use(issuer, remade(user, exp=now - 60)))


@pytest.mark.parametrize("body", [b"null", b"[]", b"7", b"{", b'"claims"', b"\xff", b""])
def test_a_body_that_is_no_set_of_claims_is_refused(
    issuer: httpx2.Client, user: Identity, body: bytes
) -> None:
    header, _ = parts_of(user.tokens["access_token"])
    assert_refused(use(issuer, forged(header, body, es256(KEY))))


def test_no_changed_character_goes_unnoticed(issuer: httpx2.Client, user: Identity) -> None:
    token = user.tokens["access_token"]
    for place in range(0, len(token), 17):
        changed = "A" if token[place] != "A" else "B"
        assert_refused(use(issuer, token[:place] + changed + token[place + 1 :]))


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer \xff", "bearer x", "BEARER x"])
def test_a_malformed_header_is_refused(issuer: httpx2.Client, header: str) -> None:
    raw = [(b"Authorization", header.encode("latin-1"))]
    assert_refused(issuer.get(ROUTE, headers=raw))


def test_two_tokens_are_one_too_many(issuer: httpx2.Client, user: Identity) -> None:
    line = (b"Authorization", f"Bearer {user.tokens['access_token']}".encode())
    assert issuer.get(ROUTE, headers=[line]).status_code == 200
    assert_refused(issuer.get(ROUTE, headers=[line, line]))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}])
def test_without_a_token_the_answer_only_asks_for_one(
    issuer: httpx2.Client, headers: dict[str, str]
) -> None:
    response = issuer.get(ROUTE, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == CHALLENGE


def test_a_token_in_the_query_is_no_token(issuer: httpx2.Client, user: Identity) -> None:
    response = issuer.get(ROUTE, params={"access_token": user.tokens["access_token"]})
    assert response.status_code == 401


def test_an_expired_token_does_not_keep_its_user_from_the_public_routes(
    issuer: httpx2.Client, user: Identity
) -> None:
    headers = {"Authorization": f"Bearer {remade(user, exp=NOW - 3600)}"}
    assert issuer.get("/health/live", headers=headers).status_code == 200
    token = new_identity(issuer).tokens["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert issuer.post("/v1/tokens", data=form, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/health/live"])
def test_who_needs_no_token_does_not_wait_for_what_is_asked_about_it(
    issuer: httpx2.Client, user: Identity, environment: dict[str, str], path: str
) -> None:
    with psycopg.connect(environment["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE users, token_families, revoked_tokens IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        assert issuer.get(path, headers=user.headers).status_code == 200
    assert time.monotonic() - started < 1


def test_a_revoked_access_token_is_refused_and_only_that_one(issuer: httpx2.Client) -> None:
    user = new_identity(issuer)
    other = remade(user)
    token = user.tokens["access_token"]
    assert use(issuer, token).status_code == 200
    assert issuer.post("/v1/token-revocations", data={"token": token}).status_code == 200
    assert_refused(use(issuer, token))
    # The same token in other clothes: the list knows it by issuer and id, not by its bytes.
    assert_refused(use(issuer, remade(user, jti=parts_of(token)[1]["jti"])))
    assert use(issuer, other).status_code == 200


def test_with_a_session_end_its_access_tokens(issuer: httpx2.Client) -> None:
    user = new_identity(issuer)
    first = user.tokens["refresh_token"]
    newest = refresh_grant(issuer, first).json()["access_token"]
    assert use(issuer, newest).status_code == 200
    refresh_grant(issuer, first)
    assert_refused(use(issuer, newest))
    assert_refused(use(issuer, user.tokens["access_token"]))


def test_a_revocation_counts_at_once_where_it_was_made(client: httpx2.Client) -> None:
    token = new_identity(client).tokens["access_token"]
    assert use(client, token).status_code == 200
    client.post("/v1/token-revocations", data={"token": token})
    assert_refused(use(client, token))


def test_a_session_that_ends_by_reuse_is_over_at_once_where_that_was_seen(
    client: httpx2.Client,
) -> None:
    first = new_identity(client).tokens["refresh_token"]
    newest = refresh_grant(client, first).json()["access_token"]
    assert use(client, newest).status_code == 200
    refresh_grant(client, first)
    assert_refused(use(client, newest))


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_costs_no_query_when_it_comes_again(
    client: httpx2.Client, environment: dict[str, str], kind: str
) -> None:
    user = new_identity(client)
    token = user.tokens["access_token"]
    client.post("/v1/token-revocations", data={"token": user.tokens[kind]})
    assert_refused(use(client, token))
    time.sleep(1.1)
    with psycopg.connect(environment["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE users, token_families, revoked_tokens IN ACCESS EXCLUSIVE MODE")
        assert_refused(use(client, token))


def test_a_disabled_user_loses_access(
    issuer: httpx2.Client, sql: psycopg.Connection[tuple[object, ...]]
) -> None:
    user = new_identity(issuer)
    assert use(issuer, user.tokens["access_token"]).status_code == 200
    sql.execute("UPDATE users SET disabled_at = now() WHERE email = %s", [user.email])
    assert_refused(use(issuer, user.tokens["access_token"]))
    sql.execute("UPDATE users SET disabled_at = NULL WHERE email = %s", [user.email])
    assert use(issuer, user.tokens["access_token"]).status_code == 200


def test_a_retired_key_verifies_and_a_removed_one_does_not(
    start_service: StartService, user: Identity
) -> None:
    token = user.tokens["access_token"]
    with anonymous_client(
        start_service, AUTH_SIGNING_KEYS=pem(new_key()) + public_pem(KEY)
    ) as client:
        assert use(client, token).status_code == 200
    with anonymous_client(start_service, AUTH_SIGNING_KEYS=pem(new_key())) as client:
        assert_refused(use(client, token))


def test_an_access_token_expires(start_service: StartService) -> None:
    settings = {"AUTH_ACCESS_TOKEN_TTL": "5", "AUTH_LEEWAY": "0"}
    with start_service(**settings) as server, httpx2.Client(base_url=server.url) as client:
        token = new_identity(client).tokens["access_token"]
        assert use(client, token).status_code == 200
        time.sleep(5.1)
        assert_refused(use(client, token))


def test_refusals_are_logged_without_the_token(start_service: StartService) -> None:
    with start_service() as server, httpx2.Client(base_url=server.url) as client:
        token = new_identity(client).tokens["access_token"]
        use(client, token[:-4] + "AAAA")
        client.get(ROUTE)
        server.terminate()
        reasons = [line["reason"] for line in server.events("access_denied")]
        assert token[:-4] not in server.output.read_text()
    assert reasons == ["invalid-token", "unauthenticated"]
