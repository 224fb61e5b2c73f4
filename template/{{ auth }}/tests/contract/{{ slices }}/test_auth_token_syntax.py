"""One token has one spelling, and travels in one place (RFC 6750, 7515, 8725)."""

import json
import string
from base64 import urlsafe_b64encode
from collections.abc import Generator
from uuid import uuid4

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.chassis.auth.errors import CHALLENGE
from tests.kit.forgery import Json, decoded, encoded, es256, forged, parts_of
from tests.kit.identity import Identity, StartService, new_identity, new_key, pem

KEY = new_key()
ROUTE = "/v1/customers"
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def issuer(start_service: StartService) -> Generator[httpx2.Client]:
    """A server whose key the tests know."""
    with (
        start_service(AUTH_SIGNING_KEYS=pem(KEY)) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def user(issuer: httpx2.Client) -> Identity:
    return new_identity(issuer)


@pytest.fixture
def token(user: Identity) -> str:
    return user.tokens["access_token"]


def use(client: httpx2.Client, credentials: str) -> httpx2.Response:
    return client.get(ROUTE, headers=[(b"Authorization", credentials.encode("latin-1"))])


def assert_accepted(client: httpx2.Client, token: str) -> None:
    response = use(client, f"Bearer {token}")
    assert response.status_code == 200, response.text


def assert_refused(client: httpx2.Client, token: str) -> None:
    response = use(client, f"Bearer {token}")
    assert response.status_code == 401, response.text
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def resigned(token: str, header: Json | None = None, claims: Json | bytes | None = None) -> str:
    """The token with other parts, signed with the service's own key."""
    old_header, old_claims = parts_of(token)
    body = claims if isinstance(claims, bytes) else {**old_claims, **(claims or {})}
    return forged({**old_header, **(header or {})}, body, es256(KEY))


def with_signature(token: str, signature: bytes) -> str:
    return f"{token.rpartition('.')[0]}.{encoded(signature)}"


def test_the_last_character_of_a_signature_has_one_spelling(
    issuer: httpx2.Client, token: str
) -> None:
    place = ALPHABET.index(token[-1])
    assert place % 16 == 0, "64 bytes leave four bits over, which must be zero"
    assert_accepted(issuer, token)
    for spare in (1, 7, 15):
        assert_refused(issuer, token[:-1] + ALPHABET[place + spare])


@pytest.mark.parametrize("noise", ["=", "==", "!", "*", "%3D", "+", "/", "~", ":", ",", ";a"])
def test_nothing_is_overlooked_in_a_token(issuer: httpx2.Client, token: str, noise: str) -> None:
    header, claims, signature = token.split(".")
    assert_accepted(issuer, token)
    for spelling in (
        f"{token}{noise}",
        f"{noise}{token}",
        f"{header}{noise}.{claims}.{signature}",
        f"{header}.{claims}{noise}.{signature}",
        f"{header}.{claims}.{signature[:20]}{noise}{signature[20:]}",
    ):
        assert_refused(issuer, spelling)


def test_a_part_with_padding_is_refused_even_when_that_was_signed(
    issuer: httpx2.Client, token: str
) -> None:
    _, claims = parts_of(token)
    for extra in range(3):
        body = json.dumps({**claims, "jti": str(uuid4()), "x": "x" * extra}).encode()
        header = token.split(".", maxsplit=1)[0]
        padded = f"{header}.{urlsafe_b64encode(body).decode()}"
        spelling = f"{padded}.{encoded(es256(KEY)(padded.encode()))}"
        (assert_refused if "=" in padded else assert_accepted)(issuer, spelling)


def test_a_signature_of_another_form_is_refused(issuer: httpx2.Client, token: str) -> None:
    raw = decoded(token.rpartition(".")[2])
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    assert_accepted(issuer, with_signature(token, raw))
    order = P256_ORDER.to_bytes(32)
    for signature in (
        encode_dss_signature(r, s),
        bytes(64),
        bytes(31) + b"\1" + bytes(32),
        order + order,
        raw[:32] + order,
        raw + b"\0",
        raw[:63],
        b"\0" + raw,
        raw * 2,
    ):
        assert_refused(issuer, with_signature(token, signature))


def test_the_other_valid_signature_of_ecdsa_revives_no_revoked_token(
    issuer: httpx2.Client,
) -> None:
    token = new_identity(issuer).tokens["access_token"]
    raw = decoded(token.rpartition(".")[2])
    mirrored = P256_ORDER - int.from_bytes(raw[32:])
    twin = with_signature(token, raw[:32] + mirrored.to_bytes(32))
    assert_accepted(issuer, twin)
    issuer.post("/v1/token-revocations", data={"token": token})
    assert_refused(issuer, twin)
    assert_refused(issuer, token)


@pytest.mark.parametrize(
    "header",
    [
        {"b64": False},
        {"b64": False, "crit": ["b64"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"enc": "A128GCM", "alg": "dir"},
        {"alg": "PS256"},
        {"alg": ["ES256"]},
        {"alg": "ES256K"},
        {"alg": "ES256 "},
        {"typ": "at+jwt+x"},
        {"typ": "application/application/at+jwt"},
        {"typ": ["at+jwt"]},
        {"kid": {"a": 1}},
    ],
    ids=str,
)
def test_a_header_that_asks_for_something_else_is_refused(
    issuer: httpx2.Client, token: str, header: Json
) -> None:
    assert_accepted(issuer, resigned(token))
    assert_refused(issuer, resigned(token, header))


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_the_type_of_a_token_may_be_written_in_full_and_in_any_case(
    issuer: httpx2.Client, token: str, kind: str
) -> None:
    assert_accepted(issuer, resigned(token, {"typ": kind}))


def test_keys_and_places_of_keys_in_the_header_are_not_looked_at(
    issuer: httpx2.Client, token: str
) -> None:
    brought: Json = {"jku": "http://127.0.0.1:1", "x5u": "http://127.0.0.1:1", "x5c": ["AAAA"]}
    assert_accepted(issuer, resigned(token, brought))
    header, claims = parts_of(token)
    assert_refused(issuer, forged({**header, **brought}, claims, es256(new_key())))


def test_of_a_member_that_is_there_twice_the_last_counts(issuer: httpx2.Client, token: str) -> None:
    _, claims = parts_of(token)
    text = json.dumps({**claims, "jti": str(uuid4())})
    later, earlier = f'{text[:-1]}, "exp": 1}}', f'{{"exp": 1, {text[1:]}'
    assert_accepted(issuer, resigned(token, claims=earlier.encode()))
    assert_refused(issuer, resigned(token, claims=later.encode()))


@pytest.mark.parametrize("text", ["[", '{"a":', "1", "-", '"', "\0"])
def test_endless_json_is_only_refused(issuer: httpx2.Client, token: str, text: str) -> None:
    _, claims, signature = token.split(".")
    endless = encoded((text * 5000)[:5000].encode())
    assert_refused(issuer, f"{endless}.{claims}.{signature}")
    nested = encoded(b'{"alg":"ES256","x":' + b"[" * 4000)
    assert_refused(issuer, f"{nested}.{claims}.{signature}")
    assert_refused(issuer, resigned(token, claims=(text * 4000)[:4000].encode()))


def test_fractions_of_seconds_are_fine_and_nothing_that_is_no_number(
    issuer: httpx2.Client, token: str
) -> None:
    _, claims = parts_of(token)
    for name in ("exp", "iat"):
        assert_accepted(issuer, resigned(token, claims={name: claims[name] - 0.5}))
    for number in ("NaN", "Infinity", "-Infinity", "1e400", "-0.5", "true", '"1"', "[]"):
        for name in ("exp", "iat", "nbf"):
            text = f'{json.dumps(claims)[:-1]}, "{name}": {number}}}'
            assert_refused(issuer, resigned(token, claims=text.encode()))


def test_a_token_is_read_up_to_a_length(issuer: httpx2.Client, token: str) -> None:
    assert_accepted(issuer, resigned(token, claims={"x": "x" * 4000}))
    assert_refused(issuer, resigned(token, claims={"x": "x" * 6500}))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_in_any_case(issuer: httpx2.Client, token: str, scheme: str) -> None:
    assert use(issuer, f"{scheme} {token}").status_code == 200


@pytest.mark.parametrize(
    "credentials",
    [
        "Bearer {0}, Bearer {0}",
        "Bearer {0},{0}",
        "Bearer {0} {0}",
        'Bearer "{0}"',
        "Bearer \xe9{0}",
    ],
)
def test_more_than_a_token_is_no_token(issuer: httpx2.Client, token: str, credentials: str) -> None:
    response = use(issuer, credentials.format(token))
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    "credentials", ["Bearer\t{0}", "Token {0}", "Bearer={0}", "{0}", "Basic {0}"]
)
def test_what_is_no_bearer_scheme_is_no_attempt(
    issuer: httpx2.Client, token: str, credentials: str
) -> None:
    response = use(issuer, credentials.format(token))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == CHALLENGE


def test_a_token_elsewhere_than_in_its_header_is_no_token(
    issuer: httpx2.Client, token: str
) -> None:
    places = [
        issuer.get(ROUTE, params={"access_token": token}),
        issuer.get(ROUTE, headers={"Cookie": f"access_token={token}"}),
        issuer.get(ROUTE, headers={"X-Access-Token": token}),
        issuer.get(ROUTE, headers={"Proxy-Authorization": f"Bearer {token}"}),
        issuer.post(ROUTE, data={"access_token": token}),
    ]
    for response in places:
        assert response.status_code in (401, 415)
        assert response.status_code == 415 or response.headers["www-authenticate"] == CHALLENGE


def test_answers_to_a_caller_are_kept_by_no_cache(issuer: httpx2.Client, token: str) -> None:
    accepted, refused = use(issuer, f"Bearer {token}"), use(issuer, "Bearer x")
    assert accepted.headers["cache-control"] == refused.headers["cache-control"] == "no-store"
