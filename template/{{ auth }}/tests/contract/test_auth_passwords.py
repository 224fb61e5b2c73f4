"""Passwords are kept as Argon2id; hashes that users brought along are replaced as they sign in."""

from collections.abc import Generator
from uuid import uuid4

import bcrypt
import httpx2
import psycopg
import pytest

from app import about
from app.chassis.auth.schemas import SHORTEST_PASSWORD
from tests.kit.identity import StartService, anonymous_client, password_grant, register

LENIENT = {"AUTH_ATTEMPTS_PER_ACCOUNT": "1000", "TRUSTED_PROXIES": "127.0.0.1"}
Sql = psycopg.Connection[tuple[object, ...]]
PASSWORD = "four quiet otters"
TODAY = "$argon2id$v=19$m=19456,t=2,p=1$"


@pytest.fixture(scope="module")
def client(start_service: StartService) -> Generator[httpx2.Client]:
    """Somebody whose many failures count for an address of their own."""
    with anonymous_client(start_service, **LENIENT, AUTH_ATTEMPTS_PER_ADDRESS="1000") as client:
        client.headers["X-Forwarded-For"] = "203.0.113.150"
        yield client


def stored_hash(sql: Sql, email: str) -> str:
    row = sql.execute("SELECT password_hash FROM users WHERE email = %s", [email]).fetchone()
    assert row is not None
    return str(row[0])


def move_in(client: httpx2.Client, sql: Sql, password: str, prefix: str = "$2b$") -> str:
    """A user whose hash comes from another service; returns the address."""
    email = register(client)
    hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(5)).decode()
    change = "UPDATE users SET password_hash = %s WHERE email = %s"
    sql.execute(change, [prefix + hashed[4:], email])
    return email


def test_passwords_are_stored_as_argon2id_at_full_cost(client: httpx2.Client, sql: Sql) -> None:
    email = register(client)
    assert stored_hash(sql, email).startswith(TODAY)


def test_raised_costs_reach_a_user_at_the_next_sign_in(
    start_service: StartService, client: httpx2.Client, sql: Sql
) -> None:
    email = register(client)
    with anonymous_client(start_service, AUTH_ARGON2_TIME_COST="3") as other:
        assert password_grant(other, email).status_code == 200
    assert ",t=3," in stored_hash(sql, email)
    assert password_grant(client, email).status_code == 200


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_a_bcrypt_hash_is_replaced_at_the_first_sign_in(
    client: httpx2.Client, sql: Sql, prefix: str
) -> None:
    email = move_in(client, sql, PASSWORD, prefix)
    assert password_grant(client, email, "five quiet otters").status_code == 400
    assert stored_hash(sql, email).startswith(prefix)
    assert password_grant(client, email, PASSWORD).status_code == 200
    assert stored_hash(sql, email).startswith(TODAY)
    assert password_grant(client, email, PASSWORD).status_code == 200
    assert password_grant(client, email, "five quiet otters").status_code == 400


@pytest.mark.parametrize("length", [72, 73, 128, 200])
def test_a_long_password_with_a_bcrypt_hash_goes_on_working(
    client: httpx2.Client, sql: Sql, length: int
) -> None:
    password = "é" + "x" * (length - 1)
    email = move_in(client, sql, password)
    assert password_grant(client, email, password).status_code == 200
    assert stored_hash(sql, email).startswith(TODAY)
    assert password_grant(client, email, password).status_code == 200
    assert password_grant(client, email, password[:72]).status_code == 400 or length == 72


@pytest.mark.parametrize(
    "hashed", ["$2b$", "$2b$05$tooshort", "$2b$99$" + "a" * 53, "$2b$xx$" + "a" * 53, "$1$a$b", ""]
)
def test_what_is_no_hash_lets_nobody_in(client: httpx2.Client, sql: Sql, hashed: str) -> None:
    email = register(client)
    sql.execute("UPDATE users SET password_hash = %s WHERE email = %s", [hashed, email])
    for password in (PASSWORD, "x", hashed):
        if password:
            assert password_grant(client, email, password).status_code == 400


def test_a_disabled_user_with_a_bcrypt_hash_is_not_let_in(client: httpx2.Client, sql: Sql) -> None:
    email = move_in(client, sql, PASSWORD)
    sql.execute("UPDATE users SET disabled_at = now() WHERE email = %s", [email])
    assert password_grant(client, email, PASSWORD).status_code == 400
    assert stored_hash(sql, email).startswith("$2b$")


@pytest.mark.parametrize("password", ["x" * 129, "x" * 500_000, "\0" * 8, "four quiet otters\0"])
def test_a_strange_password_is_only_wrong(client: httpx2.Client, password: str) -> None:
    assert password_grant(client, register(client), password).status_code == 400


def test_every_character_of_a_password_counts(client: httpx2.Client) -> None:
    for password in ("x" * 128, "  spaces  ", "Großes Ä ist kein ä", "pässwörter 🦦🦦"):
        email = register(client, password=password)
        assert password_grant(client, email, password).status_code == 200
        for other in (password[:-1], password + "x", password.swapcase(), password.strip()):
            if other != password:
                assert password_grant(client, email, other).status_code == 400


def assert_refused(client: httpx2.Client, email: str, password: str, detail: str) -> None:
    """Assert that the password is refused as such, and not quoted."""
    response = client.post("/v1/users", json={"email": email, "password": password})
    assert response.status_code == 422
    (violation,) = response.json()["errors"]
    assert violation["pointer"] == "#/password"
    assert violation["detail"] == detail
    assert password not in response.text


@pytest.mark.parametrize("password", ["password123", "1qaz2wsx", "Trustno1", "BASEBALL"])
def test_a_password_that_many_people_have_is_refused(client: httpx2.Client, password: str) -> None:
    assert_refused(
        client, "common@users.example.com", password, "is among the most common passwords"
    )


def test_a_password_is_the_same_however_its_characters_are_composed(client: httpx2.Client) -> None:
    composed, decomposed = "pässwörter", "pa\u0308sswo\u0308rter"
    for registered, typed in ((composed, decomposed), (decomposed, composed)):
        email = register(client, password=registered)
        assert password_grant(client, email, typed).status_code == 200
        assert password_grant(client, email, "passworter").status_code == 400


@pytest.mark.parametrize(("length", "status"), [(7, 422), (8, 201), (128, 201), (129, 422)])
def test_characters_count_as_they_are_composed(
    client: httpx2.Client, length: int, status: int
) -> None:
    body = {"email": f"{uuid4().hex}@users.example.com", "password": "e\u0301" * length}
    assert client.post("/v1/users", json=body).status_code == status


NAMES = ["ada.lovelace@users.example.com", "Ada.Lovelace", about.TITLE, about.SLUG.upper()]


@pytest.mark.parametrize("password", [name for name in NAMES if len(name) >= SHORTEST_PASSWORD])
def test_neither_ones_address_nor_the_services_name_is_a_password(
    client: httpx2.Client, password: str
) -> None:
    detail = "must not be your email address or the name of this service"
    assert_refused(client, "Ada.Lovelace@users.example.com", password, detail)


def test_half_a_character_is_no_password(client: httpx2.Client) -> None:
    body = b'{"email": "half@users.example.com", "password": "four quiet \\ud83e"}'
    response = client.post("/v1/users", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/password"
