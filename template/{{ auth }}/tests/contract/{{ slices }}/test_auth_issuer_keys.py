"""The keys of an OpenID provider: whatever it answers, nothing but its own keys is believed."""

import json
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.kit.forgery import encoded, hs256, signing
from tests.kit.identity import StartService, anonymous_client, new_key
from tests.kit.provider import DISCOVERY, KEYS, Provider, run_provider

Json = dict[str, Any]
RSA_KEY = rsa.generate_private_key(65537, 2048)
SMALL_RSA_KEY = rsa.generate_private_key(65537, 1024)
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
P384_KEY = ec.generate_private_key(ec.SECP384R1())
P256_KEY = new_key()
SECRET = b"a secret that somebody has published by mistake"


def public(key: Any, **more: Any) -> Json:
    """A key as a provider publishes it."""
    match key:
        case rsa.RSAPrivateKey():
            members: Json = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            members.pop("key_ops")
        case ed25519.Ed25519PrivateKey():
            members = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            members = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**members, **more}


MORE_KEYS: list[Any] = [
    public(RSA_KEY, kid="rsa"),
    public(RSA_KEY, kid="rsa-pss", alg="PS256"),
    public(ED25519_KEY, kid="ed25519"),
    public(P384_KEY, kid="p384", use="sig", alg="ES384", key_ops=["verify"]),
    {"kty": "oct", "k": encoded(SECRET), "kid": "oct"},
    {"kty": "oct", "k": encoded(SECRET), "kid": "oct-hs", "alg": "HS256", "use": "sig"},
    {"kty": "oct", "k": encoded(SECRET), "kid": "oct-es", "alg": "ES256"},
    public(P256_KEY, kid="enc", use="enc"),
    public(P256_KEY, kid="ops", key_ops=["deriveKey"]),
    public(P256_KEY, kid="alg", alg="ES384"),
    public(P256_KEY, kid="agreement", alg="ECDH-ES"),
    public(SMALL_RSA_KEY, kid="small", alg="RS256"),
    {**ECAlgorithm.to_jwk(P256_KEY, as_dict=True), "kid": "private", "alg": "ES256"},
    public(P256_KEY),
    {"kid": "empty"},
    {"kid": "unheard-of", "kty": "quantum"},
    {"kid": "point", "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
    {"kid": "types", "kty": "RSA", "n": 7, "e": None, "alg": []},
    {"kid": "base64", "kty": "RSA", "n": "a", "e": "!"},
    {"kty": "RSA", "kid": "unsigned", "alg": "none", "n": "AQ", "e": "AQAB"},
    "text",
    None,
    7,
    [],
]


@pytest.fixture(scope="module")
def provider() -> Generator[Provider]:
    with run_provider() as provider:
        provider.more_keys = MORE_KEYS
        yield provider


@pytest.fixture(autouse=True)
def well_behaved(provider: Provider) -> None:
    """Whatever the test before made of the provider."""
    provider.instead.clear()
    provider.redirects.clear()


def settings(provider: Provider) -> dict[str, str]:
    quick = {"AUTH_ISSUER_COOLDOWN": "1", "AUTH_ISSUER_KEYS_TTL": "1", "AUTH_ISSUER_TIMEOUT": "1"}
    return {"AUTH_AUDIENCE": "order-service", "AUTH_ISSUER_URL": provider.url, **quick}


@pytest.fixture(scope="module")
def resource_server(provider: Provider, start_service: StartService) -> Generator[httpx2.Client]:
    with anonymous_client(start_service, **settings(provider)) as client:
        yield client


def use(client: httpx2.Client, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/v1/customers", headers=headers).status_code


def wait_for_the_next_fetch() -> None:
    time.sleep(1.1)


@pytest.mark.parametrize(
    ("kid", "algorithm", "key"),
    [
        ("rsa", "RS256", RSA_KEY),
        ("rsa-pss", "PS256", RSA_KEY),
        ("ed25519", "EdDSA", ED25519_KEY),
        ("p384", "ES384", P384_KEY),
    ],
)
def test_a_key_of_every_usual_kind_is_accepted_with_its_one_algorithm(
    provider: Provider, resource_server: httpx2.Client, kid: str, algorithm: str, key: Any
) -> None:
    header = {"alg": algorithm, "typ": "at+jwt", "kid": kid}
    assert use(resource_server, provider.signed(signing(algorithm, key), header)) == 200
    others = {"RS256": "PS256", "PS256": "RS256"}
    if other := others.get(algorithm):
        token = provider.signed(signing(other, key), {**header, "alg": other})
        assert use(resource_server, token) == 401
    assert use(resource_server, provider.signed(hs256(SECRET), {**header, "alg": "HS256"})) == 401


@pytest.mark.parametrize(
    ("kid", "algorithm", "key"),
    [
        ("oct", "HS256", SECRET),
        ("oct-hs", "HS256", SECRET),
        ("oct-es", "HS256", SECRET),
        ("enc", "ES256", P256_KEY),
        ("ops", "ES256", P256_KEY),
        ("alg", "ES256", P256_KEY),
        ("agreement", "ES256", P256_KEY),
        ("small", "RS256", SMALL_RSA_KEY),
        ("private", "ES256", P256_KEY),
        ("None", "ES256", P256_KEY),
        ("empty", "ES256", P256_KEY),
    ],
)
def test_a_key_for_another_purpose_verifies_nothing(
    provider: Provider, resource_server: httpx2.Client, kid: str, algorithm: str, key: Any
) -> None:
    sign = hs256(key) if algorithm == "HS256" else signing(algorithm, key)
    header = {"alg": algorithm, "typ": "at+jwt", "kid": kid}
    assert use(resource_server, provider.token()) == 200
    assert use(resource_server, provider.signed(sign, header)) == 401


@pytest.mark.parametrize(
    "document",
    [
        b"<!doctype html><title>Sign in</title>",
        b"[]",
        b'{"keys": {"a": 1}}',
        b"[" * 100_000,
        b'{"keys": [' + b" " * 1_100_000 + b"]}",
    ],
    ids=lambda document: str(document[:16]),
)
def test_what_is_no_key_set_changes_nothing(
    provider: Provider, resource_server: httpx2.Client, document: bytes
) -> None:
    assert use(resource_server, provider.token()) == 200
    wait_for_the_next_fetch()
    provider.instead[KEYS] = document
    before = provider.fetched
    assert use(resource_server, provider.token(kid="unknown")) == 401
    assert provider.fetched == before + 1
    assert use(resource_server, provider.token()) == 200


def test_where_the_keys_are_is_asked_each_time(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    assert use(resource_server, provider.token()) == 200
    wait_for_the_next_fetch()
    provider.instead[DISCOVERY] = b'{"issuer": "https://another.example", "jwks_uri": "/keys"}'
    before = provider.fetched
    assert use(resource_server, provider.token(kid="unknown")) == 401
    assert provider.fetched == before
    assert use(resource_server, provider.token()) == 200


def test_a_removed_key_is_refused_as_soon_as_the_keys_are_fetched_again(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    provider.keys["leaving"] = new_key()
    wait_for_the_next_fetch()
    token = provider.token(kid="leaving")
    assert use(resource_server, token) == 200
    del provider.keys["leaving"]
    wait_for_the_next_fetch()
    assert use(resource_server, provider.token(kid="unknown")) == 401
    wait_for_the_next_fetch()
    assert use(resource_server, token) == 401


def test_many_unknown_keys_at_once_cost_one_fetch(
    provider: Provider, resource_server: httpx2.Client
) -> None:
    wait_for_the_next_fetch()
    before, started = provider.fetched, time.monotonic()
    tokens = [provider.token(kid=f"unknown-{number}") for number in range(50)]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(use, [resource_server] * 50, tokens))
    assert answers == [401] * 50
    assert 1 <= provider.fetched - before <= 1 + (time.monotonic() - started)


def test_no_redirect_is_followed(provider: Provider, resource_server: httpx2.Client) -> None:
    with run_provider() as internal:
        internal.keys = {"theirs": new_key()}
        wait_for_the_next_fetch()
        provider.redirects[KEYS] = f"{internal.url}{KEYS}"
        header = {"iss": provider.url}
        assert use(resource_server, internal.token(kid="theirs", **header)) == 401
        wait_for_the_next_fetch()
        provider.redirects = {DISCOVERY: f"{internal.url}{DISCOVERY}"}
        assert use(resource_server, internal.token(kid="theirs", **header)) == 401
        provider.redirects.clear()
        assert internal.fetched == 0
    assert use(resource_server, provider.token()) == 200


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_an_answer_that_drips_in_is_given_up(
    provider: Provider, resource_server: httpx2.Client, begin: bytes
) -> None:
    wait_for_the_next_fetch()
    provider.drips, started = begin, time.monotonic()
    assert use(resource_server, provider.token(kid="unknown")) == 401
    assert 1 <= time.monotonic() - started < 5
    provider.drips = b""
    wait_for_the_next_fetch()
    assert use(resource_server, provider.token()) == 200


def test_a_discovery_document_that_cannot_be_right_leads_nowhere(
    start_service: StartService,
) -> None:
    with (
        run_provider() as provider,
        anonymous_client(start_service, **settings(provider)) as client,
    ):
        right = {"issuer": provider.url, "jwks_uri": f"{provider.url}{KEYS}"}
        wrong: list[Json] = [
            {"issuer": "https://elsewhere.example"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": 7},
        ]
        for changes in wrong:
            provider.instead[DISCOVERY] = json.dumps({**right, **changes}).encode()
            assert use(client, provider.token()) == 503
            wait_for_the_next_fetch()
        assert provider.fetched == 0
        provider.instead.clear()
        assert use(client, provider.token()) == 200
