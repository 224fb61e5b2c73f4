"""Users for tests: registered and signed in over HTTP, as clients do it."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]
PASSWORD = "four quiet otters"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a signing key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a key as `AUTH_SIGNING_KEYS` wants it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write the public half of a key, for a key that only verifies."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


PRODUCTION_SETTINGS = {"AUTH_SIGNING_KEYS": pem(new_key())}


@contextmanager
def anonymous_client(start_service: StartService, **settings: str) -> Generator[httpx2.Client]:
    """Start a server with other settings; yields a client that is nobody yet."""
    with start_service(**settings) as server, httpx2.Client(base_url=server.url) as client:
        yield client


@dataclass(frozen=True)
class Identity:
    """Somebody with an account, and what the token endpoint answered to the sign-in."""

    email: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """The header that makes a request this user's."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


def register(client: httpx2.Client, email: str | None = None, password: str = PASSWORD) -> str:
    """Register a user; returns the address."""
    email = email or f"{uuid4().hex}@users.example.com"
    body = {"email": email, "password": password}
    assert client.post("/v1/users", json=body).status_code == 201
    return email


def request_token(client: httpx2.Client, **form: str) -> httpx2.Response:
    """Ask the token endpoint."""
    return client.post("/v1/tokens", data=form)


def password_grant(
    client: httpx2.Client, email: str, password: str = PASSWORD, **more: str
) -> httpx2.Response:
    """Try to sign in."""
    credentials = {"grant_type": "password", "username": email, "password": password}
    return request_token(client, **credentials, **more)


def refresh_grant(client: httpx2.Client, token: str, **more: str) -> httpx2.Response:
    """Try to refresh."""
    return request_token(client, grant_type="refresh_token", refresh_token=token, **more)


def new_identity(client: httpx2.Client, **more: str) -> Identity:
    """Register somebody and sign in."""
    email = register(client)
    response = password_grant(client, email, **more)
    assert response.status_code == 200, response.text
    return Identity(email, response.json())


def sign_in(client: httpx2.Client) -> None:
    """Make every request of this client one of a new user."""
    client.headers.update(new_identity(client).headers)
