"""With `AUTH_ISSUER_URL` the tokens of an OpenID provider are accepted, and no others."""

import json
import time
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from jwt.algorithms import ECAlgorithm

from tests.kit.forgery import es256
from tests.kit.identity import StartService, anonymous_client, new_identity, new_key
from tests.kit.provider import KEYS, Provider, run_provider
from tests.kit.shop import new_customer


@pytest.fixture(scope="module")
def provider() -> Generator[Provider]:
    with run_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def resource_server(provider: Provider, start_service: StartService) -> Generator[httpx2.Client]:
    settings = {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url}
    with anonymous_client(start_service, **settings, AUTH_ISSUER_COOLDOWN="2") as client:
        yield client


def use(client: httpx2.Client, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/v1/customers", headers=headers).status_code


def test_the_providers_token_is_accepted_and_its_subject_owns_what_it_makes(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    headers = {"Authorization": f"Bearer {provider.token()}"}
    with httpx2.Client(base_url=resource_server.base_url, headers=headers) as somebody:
        customer = new_customer(somebody)
        assert somebody.get(f"/v1/customers/{customer['id']}").status_code == 200
        somebody.headers["Authorization"] = f"Bearer {provider.token(sub='auth0|else')}"
        assert somebody.get(f"/v1/customers/{customer['id']}").status_code == 404
        somebody.headers["Authorization"] = f"Bearer {provider.token(roles=['admin'])}"
        assert somebody.get(f"/v1/customers/{customer['id']}").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"iss": "https://elsewhere.example"},
        {"aud": "another-service"},
        {"exp": 1},
        {"kid": "unknown"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_service_is_refused(
    provider: Provider, resource_server: httpx2.Client, changes: dict[str, Any]
) -> None:
    assert use(resource_server, provider.token()) == 200
    assert use(resource_server, provider.token(**changes)) == 401


def test_scopes_come_from_either_usual_claim(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    assert use(resource_server, provider.token(scope="", scp=["customers:read"])) == 200
    assert use(resource_server, provider.token(scope="profile")) == 403


def test_many_unknown_keys_cost_one_fetch_and_a_new_key_is_found(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    assert use(resource_server, provider.token()) == 200
    time.sleep(2.1)
    before = provider.fetched
    for number in range(20):
        assert use(resource_server, provider.token(kid=f"unknown-{number}")) == 401
    assert provider.fetched - before == 1
    provider.keys["k2"] = new_key()
    time.sleep(2.1)
    assert use(resource_server, provider.token(kid="k2")) == 200


def test_the_service_issues_nothing_itself(
    client: httpx2.Client, resource_server: httpx2.Client
) -> None:
    own = new_identity(client).tokens["access_token"]
    assert use(resource_server, own) == 401
    assert resource_server.post("/v1/users", json={}).status_code == 404
    assert resource_server.post("/v1/tokens", data={"grant_type": "password"}).status_code == 404
    assert resource_server.get("/.well-known/jwks.json").status_code == 404


def test_the_document_names_the_provider_and_no_route_of_its_own(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    document = resource_server.get("/openapi.json").json()
    own = {"/v1/users", "/v1/tokens", "/v1/token-revocations", "/.well-known/jwks.json"}
    assert not own & set(document["paths"])
    assert document["components"]["securitySchemes"]["oauth2"] == {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{provider.url}/.well-known/openid-configuration",
    }


@pytest.mark.parametrize("kind", ["application/at+jwt", "AT+JWT", "Application/AT+JWT"])
def test_a_type_may_be_written_in_every_way(
    provider: Provider, start_service: StartService, kind: str
) -> None:
    settings = {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url}
    with anonymous_client(start_service, **settings, AUTH_ISSUER_TOKEN_TYPES=kind) as client:
        for written in ("at+jwt", "application/at+jwt", "AT+jwt"):
            assert use(client, provider.token(typ=written)) == 200
        assert use(client, provider.token(typ="jwt")) == 401


@pytest.mark.parametrize("name", [{"kid": "only"}, {}], ids=["named", "unnamed"])
def test_the_only_key_needs_no_name(start_service: StartService, name: dict[str, str]) -> None:
    with run_provider() as provider:
        key = provider.keys["k1"]
        jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), **name}
        provider.instead[KEYS] = json.dumps({"keys": [jwk]}).encode()
        settings = {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url}
        header = {"alg": "ES256", "typ": "at+jwt"}
        with anonymous_client(start_service, **settings, AUTH_ISSUER_COOLDOWN="1") as client:
            assert use(client, provider.signed(es256(key), header)) == 200
            assert use(client, provider.signed(es256(new_key()), header)) == 401
            assert use(client, provider.signed(es256(key), {**header, "kid": ""})) == 401
    with run_provider() as provider:
        provider.keys["k2"] = new_key()
        settings = {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url}
        with anonymous_client(start_service, **settings) as client:
            assert use(client, provider.token()) == 200
            assert use(client, provider.signed(es256(provider.keys["k1"]), header)) == 401


def test_while_the_provider_is_down_its_known_keys_stay_good(start_service: StartService) -> None:
    with run_provider() as provider:
        settings = {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url}
        quick = {"AUTH_ISSUER_COOLDOWN": "1", "AUTH_ISSUER_KEYS_TTL": "1"}
        with anonymous_client(start_service, **settings, **quick) as client:
            provider.is_down = True
            assert use(client, provider.token()) == 503
            assert client.get("/health/ready").status_code == 200
            provider.is_down = False
            time.sleep(1.1)
            assert use(client, provider.token()) == 200
            provider.is_down = True
            time.sleep(1.1)
            assert use(client, provider.token()) == 200
