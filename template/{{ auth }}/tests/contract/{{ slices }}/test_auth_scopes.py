"""Every route asks for its scope before it reads or tells anything."""

from uuid import uuid4

import httpx2
import pytest

from app.access import ACCESS
from app.chassis.auth.errors import CHALLENGE
from app.chassis.auth.rules import Rule
from tests.kit.identity import new_identity, password_grant, refresh_grant

PROTECTED = sorted(
    (method, path, rule.scope or "") for (method, path), rule in ACCESS.items() if not rule.public
)
each_protected_route = pytest.mark.parametrize(("method", "path", "scope"), PROTECTED)
each_protected_path = pytest.mark.parametrize(("method", "path"), [row[:2] for row in PROTECTED])
EVERYTHING = sorted({scope for _, _, scope in PROTECTED})


def call(client: httpx2.Client, method: str, path: str, token: str | None) -> httpx2.Response:
    """Call a route with a body that would not pass validation."""
    url = path.format(customer_id="nonsense", order_id="nonsense")
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"Content-Type": kind, "Authorization": f"Bearer {token}" if token else ""}
    if not token:
        del headers["Authorization"]
    with httpx2.Client(base_url=client.base_url) as anonymous:
        return anonymous.request(method, url, content=b"{", headers=headers)


@each_protected_path
def test_without_a_token_nothing_is_read(client: httpx2.Client, method: str, path: str) -> None:
    response = call(client, method, path, None)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == CHALLENGE


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    """One access token for each set of scopes, made once."""
    return {}


@each_protected_route
def test_without_its_scope_a_token_does_not_suffice(
    client: httpx2.Client, tokens: dict[str, str], method: str, path: str, scope: str
) -> None:
    others = " ".join(other for other in EVERYTHING if other != scope)
    if others not in tokens:
        tokens[others] = new_identity(client, scope=others).tokens["access_token"]
    response = call(client, method, path, tokens[others])
    assert response.status_code == 403
    assert (
        response.headers["www-authenticate"]
        == f'Bearer error="insufficient_scope", scope="{scope}"'
    )
    assert response.json()["scope"] == scope


@each_protected_route
def test_with_its_scope_alone_the_request_is_read(
    client: httpx2.Client, tokens: dict[str, str], method: str, path: str, scope: str
) -> None:
    if scope not in tokens:
        tokens[scope] = new_identity(client, scope=scope).tokens["access_token"]
    assert call(client, method, path, tokens[scope]).status_code in (200, 400, 422)


def test_by_default_a_token_has_every_scope(client: httpx2.Client) -> None:
    assert new_identity(client).tokens["scope"].split() == EVERYTHING


def test_a_scope_that_nobody_has_is_not_granted(client: httpx2.Client) -> None:
    user = new_identity(client)
    response = password_grant(client, user.email, scope="orders:read admin")
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_scope"


def test_a_refresh_narrows_the_scope_and_never_widens_it(client: httpx2.Client) -> None:
    narrow = new_identity(client, scope="orders:read customers:read")
    wider = refresh_grant(client, narrow.tokens["refresh_token"], scope="orders:write")
    assert wider.json()["error"] == "invalid_scope"
    narrower = refresh_grant(client, narrow.tokens["refresh_token"], scope="orders:read")
    assert narrower.json()["scope"] == "orders:read"


@pytest.mark.parametrize("path", ["/orders", "/customers", "/v1/orders", "/v1/customers"])
def test_there_is_no_way_around(client: httpx2.Client, path: str) -> None:
    with httpx2.Client(base_url=client.base_url) as anonymous:
        assert anonymous.get(path).status_code == 401
        assert anonymous.head(path).status_code == 401
        for look_alike in (f"{path}/", f"/{path}", f"{path}%2f", f"{path};x", path.upper()):
            assert anonymous.get(look_alike).status_code in (400, 401, 404)


def test_a_foreign_and_a_missing_id_are_refused_alike_without_a_token(
    client: httpx2.Client,
) -> None:
    with httpx2.Client(base_url=client.base_url) as anonymous:
        assert anonymous.get(f"/v1/orders/{uuid4()}").status_code == 401


def test_the_document_names_the_scope_of_every_operation(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            rule: Rule = ACCESS[method.upper(), path]
            assert operation["security"] == ([] if rule.public else [{"oauth2": [rule.scope]}])
            assert ("401" in operation["responses"]) >= (not rule.public)
