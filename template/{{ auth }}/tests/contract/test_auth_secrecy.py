"""Whether somebody has an account cannot be measured: ~200 samples, known and unknown mixed."""

import random
import statistics
import time
from collections.abc import Callable, Generator
from uuid import uuid4

import bcrypt
import httpx2
import psycopg
import pytest

from tests.kit.identity import PASSWORD, StartService, anonymous_client, register

RATIO = 1.5
LENIENT = {
    "AUTH_ATTEMPTS_PER_ACCOUNT": "1000",
    "AUTH_ATTEMPTS_PER_ADDRESS": "1000",
    "TRUSTED_PROXIES": "127.0.0.1",
}
ADDRESS = {"X-Forwarded-For": "203.0.113.151"}
Ask = Callable[[httpx2.Client, str], httpx2.Response]


def try_to_sign_in(client: httpx2.Client, email: str) -> httpx2.Response:
    form = {"grant_type": "password", "username": email, "password": "not the password"}
    return client.post("/v1/tokens", data=form, headers=ADDRESS)


def try_to_register(client: httpx2.Client, email: str) -> httpx2.Response:
    return client.post("/v1/users", json={"email": email, "password": PASSWORD})


def unknown() -> str:
    return f"{uuid4().hex}@users.example.com"


def what_it_says(response: httpx2.Response, email: str) -> object:
    """Status, names of headers and body, without what differs between any two requests."""
    body = {**response.json(), "request_id": ...}
    return response.status_code, sorted(response.headers), str(body).replace(email, "…")


def measured(client: httpx2.Client, ask: Ask, known: str, samples: int) -> float:
    """How much slower the slower kind is; fails where the answers differ.

    `samples` are taken of each kind. Their quickest quarter and their half are compared: what is
    slower than that is the noise of the machine.
    """
    order = [True, False] * samples
    random.shuffle(order)
    times: dict[bool, list[float]] = {True: [], False: []}
    answers: set[object] = set()
    for is_known in order:
        email = known if is_known else unknown()
        started = time.perf_counter()
        response = ask(client, email)
        times[is_known].append(time.perf_counter() - started)
        answers.add(str(what_it_says(response, email)))
    assert len(answers) == 1, answers
    quarters = zip(*(statistics.quantiles(times[kind])[:2] for kind in times), strict=True)
    return max(max(pair) / min(pair) for pair in quarters)


@pytest.fixture(scope="module")
def lenient(start_service: StartService) -> Generator[httpx2.Client]:
    with anonymous_client(start_service, **LENIENT) as client:
        yield client


@pytest.mark.parametrize(("ask", "samples"), [(try_to_sign_in, 100), (try_to_register, 25)])
def test_known_and_unknown_users_are_answered_alike_and_as_fast(
    lenient: httpx2.Client, ask: Ask, samples: int
) -> None:
    known = register(lenient)
    # A slow spell of the machine may look like a difference, but not time and again.
    assert any(measured(lenient, ask, known, samples) < RATIO for _ in range(3))


def test_such_a_measurement_would_find_a_difference(
    start_service: StartService, lenient: httpx2.Client
) -> None:
    known = register(lenient)
    # As documented: the costs of a hash are those of its user's last sign-in.
    with anonymous_client(start_service, **LENIENT, AUTH_ARGON2_TIME_COST="6") as dear:
        assert measured(dear, try_to_sign_in, known, samples=10) > RATIO


def test_a_user_with_a_bcrypt_hash_is_not_to_be_told_from_nobody(
    lenient: httpx2.Client, sql: psycopg.Connection[tuple[object, ...]]
) -> None:
    known = register(lenient)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()
    sql.execute("UPDATE users SET password_hash = %s WHERE email = %s", [hashed, known])
    try_to_sign_in(lenient, known)
    assert any(measured(lenient, try_to_sign_in, known, samples=40) < RATIO for _ in range(3))
