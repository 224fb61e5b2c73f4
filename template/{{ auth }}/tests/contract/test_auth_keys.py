"""Signing keys: published, rotated without a gap, and never a default in production."""

import httpx2
import pytest

from tests.kit.forgery import parts_of
from tests.kit.identity import (
    StartService,
    new_identity,
    new_key,
    pem,
    public_pem,
)
from tests.kit.processes import ServiceProcess, run_command


def key_ids(server: ServiceProcess) -> list[str]:
    keys = httpx2.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
    return [key["kid"] for key in keys]


def test_the_keys_are_published_without_their_private_halves(client: httpx2.Client) -> None:
    response = client.get("/.well-known/jwks.json")
    assert response.headers["cache-control"].startswith("public")
    assert response.headers["content-type"] == "application/jwk-set+json"
    (key,) = response.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["alg"], key["use"]) == ("ES256", "sig")


def test_a_token_names_its_key_and_its_purpose(client: httpx2.Client) -> None:
    (key,) = client.get("/.well-known/jwks.json").json()["keys"]
    header, claims = parts_of(new_identity(client).tokens["access_token"])
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": key["kid"]}
    assert claims["exp"] - claims["iat"] <= 900
    assert {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"} <= set(claims)


def test_the_first_key_signs_and_all_of_them_are_published(start_service: StartService) -> None:
    old, new = new_key(), new_key()
    with start_service(AUTH_SIGNING_KEYS=pem(old)) as server:
        (old_id,) = key_ids(server)
    with start_service(AUTH_SIGNING_KEYS=pem(new) + public_pem(old)) as server:
        new_id, retired_id = key_ids(server)
        with httpx2.Client(base_url=server.url) as client:
            header, _ = parts_of(new_identity(client).tokens["access_token"])
    assert retired_id == old_id
    assert header["kid"] == new_id != old_id


def test_replicas_without_keys_agree_on_one_for_development(start_service: StartService) -> None:
    with start_service() as one, start_service() as another:
        assert key_ids(one) == key_ids(another)


def test_an_escaped_key_is_read_too(start_service: StartService) -> None:
    with start_service(AUTH_SIGNING_KEYS=pem(new_key()).replace("\n", "\\n")) as server:
        assert len(key_ids(server)) == 1


@pytest.mark.parametrize("keys", ["", "no key at all", public_pem(new_key()), "half"])
def test_production_refuses_missing_and_unusable_keys(
    environment: dict[str, str], production: dict[str, str], keys: str
) -> None:
    keys = pem(new_key())[:80] if keys == "half" else keys
    result = run_command("serve", **{**environment, **production, "AUTH_SIGNING_KEYS": keys})
    assert result.returncode == 2
    assert "AUTH_SIGNING_KEYS" in result.stderr
    assert "BEGIN" not in result.stdout + result.stderr


def test_a_missing_key_is_named_beside_all_else_that_is_missing(
    environment: dict[str, str], production: dict[str, str]
) -> None:
    missing = dict.fromkeys(("AUTH_SIGNING_KEYS", "DATABASE_URL", "PAGINATION_SECRET"), "")
    result = run_command("serve", **{**environment, **production, **missing})
    assert result.returncode == 2
    assert all(f"{variable}: " in result.stderr for variable in missing)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTH_ACCESS_TOKEN_TTL", "901"),
        ("AUTH_LEEWAY", "61"),
        ("AUTH_ARGON2_MEMORY_KIB", "19455"),
        ("AUTH_ARGON2_TIME_COST", "1"),
        ("AUTH_ISSUER_URL", "ftp://issuer"),
        ("AUTH_ISSUER_URL", "https:issuer"),
    ],
)
def test_weak_settings_are_refused(environment: dict[str, str], variable: str, value: str) -> None:
    result = run_command("serve", **{**environment, variable: value})
    assert result.returncode == 2
    assert variable in result.stderr


def test_an_issuers_name_beside_its_address_is_refused(environment: dict[str, str]) -> None:
    both = {"AUTH_ISSUER": "elsewhere", "AUTH_ISSUER_URL": "https://issuer.example"}
    result = run_command("serve", **{**environment, **both})
    assert result.returncode == 2
    assert "AUTH_ISSUER: " in result.stderr
