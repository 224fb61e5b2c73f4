"""Customers: made, found, changed and deleted, and never two with one email address."""

from uuid import uuid4

import httpx2
import pytest

from tests.kit.shop import MERGE_PATCH, customer_body, new_customer, new_order, patch, pointers

JSON = {"Content-Type": "application/json"}


def test_a_new_customer_is_where_location_says(client: httpx2.Client) -> None:
    response = client.post("/v1/customers", json=customer_body(name="Grace Hopper"))
    assert response.status_code == 201
    found = client.get(response.headers["location"])
    assert found.status_code == 200
    assert found.json() == response.json()
    assert found.json()["name"] == "Grace Hopper"
    assert found.headers["etag"] == response.headers["etag"]


def test_an_email_address_is_taken_only_once_whatever_its_case(client: httpx2.Client) -> None:
    customer = new_customer(client)
    response = client.post("/v1/customers", json=customer_body(email=customer["email"].upper()))
    assert response.status_code == 409
    assert response.json()["type"].endswith("/problems/email-taken")


def test_every_violation_is_reported_with_its_place(client: httpx2.Client) -> None:
    response = client.post("/v1/customers", json={"name": "", "email": "nobody", "is_admin": True})
    assert response.status_code == 422
    assert pointers(response) == {"#/name", "#/email", "#/is_admin"}
    for error in response.json()["errors"]:
        assert error["detail"] == error["message"]
        assert error["field"] == error["pointer"].removeprefix("#/")


@pytest.mark.parametrize(
    ("member", "pointer"),
    [("a b", "#/a%20b"), ("%41", "#/%2541"), ("\u00e9", "#/%C3%A9"), ("~/\0", "#/~0~1%00")],
)
def test_a_pointer_is_a_fragment_of_a_uri(client: httpx2.Client, member: str, pointer: str) -> None:
    response = client.post("/v1/customers", json=customer_body(**{member: 1}))
    assert pointers(response) == {pointer}


@pytest.mark.parametrize(
    "name",
    [
        "\x00",
        "a\nb",
        "\u2028",
        "\u200b",
        "a\u202eb",
        "\u2060",
        " \u200e\u200d",
        "x" * 201,
        None,
        7,
        ["a"],
    ],
)
def test_a_name_is_one_printable_line(client: httpx2.Client, name: object) -> None:
    assert client.post("/v1/customers", json=customer_body(name=name)).status_code == 422


def test_a_name_may_have_joined_letters(client: httpx2.Client) -> None:
    name = "\u0646\u0627\u0645\u200c\u0647\u0627"
    assert new_customer(client, name=name)["name"] == name


@pytest.mark.parametrize(
    "email",
    ["Ann <ann@example.com>", "ann", "a@b@example.com", "a" * 65 + "@example.com", 7],
)
def test_an_email_is_an_address_alone(client: httpx2.Client, email: object) -> None:
    assert client.post("/v1/customers", json=customer_body(email=email)).status_code == 422


def test_a_customer_is_replaced(client: httpx2.Client) -> None:
    customer = new_customer(client)
    path, body = f"/v1/customers/{customer['id']}", customer_body(name="New name")
    response = client.put(path, json=body, headers={"If-Match": '"1"'})
    assert response.status_code == 200
    assert response.headers["etag"] == '"2"'
    assert client.get(path).json() == response.json()
    assert response.json()["email"] == body["email"]


def test_a_patch_changes_what_it_names(client: httpx2.Client) -> None:
    customer = new_customer(client)
    response = patch(client, f"/v1/customers/{customer['id']}", {"name": "Changed"})
    assert response.status_code == 200
    assert response.json()["name"] == "Changed"
    assert response.json()["email"] == customer["email"]


@pytest.mark.parametrize("body", [{"name": None}, {"name": "ok", "email": "bad"}, {"id": "1"}, []])
def test_a_patch_with_one_invalid_member_changes_nothing(
    client: httpx2.Client, body: object
) -> None:
    customer = new_customer(client)
    path = f"/v1/customers/{customer['id']}"
    assert patch(client, path, body).status_code == 422
    assert client.get(path).json() == customer


def test_no_body_is_no_json(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    for method, url, headers in (
        ("POST", "/v1/customers", JSON),
        ("PUT", path, JSON),
        ("PATCH", path, MERGE_PATCH),
        ("POST", "/v1/customers", {}),
    ):
        response = client.request(method, url, headers={**headers, "If-Match": "*"})
        assert response.status_code == 400
        assert response.json()["detail"] == "The body is empty."


def test_a_patch_of_another_media_type_is_refused(client: httpx2.Client) -> None:
    customer = new_customer(client)
    headers = {"If-Match": "*"}
    response = client.patch(f"/v1/customers/{customer['id']}", json={"name": "x"}, headers=headers)
    assert response.status_code == 415
    assert response.headers["accept-patch"] == MERGE_PATCH["Content-Type"]


def test_a_deleted_customer_is_gone_and_can_be_deleted_again(client: httpx2.Client) -> None:
    path = f"/v1/customers/{new_customer(client)['id']}"
    assert client.delete(path, headers={"If-Match": '"1"'}).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 404


def test_a_customer_with_orders_stays(client: httpx2.Client) -> None:
    customer = new_customer(client)
    new_order(client, customer)
    response = client.delete(f"/v1/customers/{customer['id']}", headers={"If-Match": "*"})
    assert response.status_code == 409


def test_lists_are_paged_by_offset_and_counted_only_on_demand(client: httpx2.Client) -> None:
    for _ in range(3):
        new_customer(client)
    first = client.get("/v1/customers", params={"limit": 2})
    assert len(first.json()["items"]) == 2
    assert "total" not in first.json()
    assert "prev" not in first.json()
    counted = client.get("/v1/customers?limit=1", headers={"Prefer": "count=exact"})
    assert counted.json()["total"] >= 3
    assert counted.headers["preference-applied"] == "count=exact"
    second = client.get(first.json()["next"])
    assert second.json()["offset"] == 2
    assert second.json()["items"][0] not in first.json()["items"]
    assert client.get(second.json()["prev"]).json()["items"] == first.json()["items"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=abc",
        "limit=101",
        "limit=1_0",
        "limit=1.0",
        "limit=%2B1",
        "offset=-1",
        "offset=10001",
        "x=1",
    ],
)
def test_impossible_pages_are_refused(client: httpx2.Client, query: str) -> None:
    response = client.get(f"/v1/customers?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("prefer", "counted"),
    [
        ('respond-async, count="exact"; why=not', True),
        ("COUNT = exact", True),
        ("count=none, count=exact", False),
        ("count", False),
        ('note="a, count=exact"', False),
        ('"', False),
    ],
)
def test_preferences_are_read_as_they_are_written(
    client: httpx2.Client, prefer: str, *, counted: bool
) -> None:
    response = client.get("/v1/customers?limit=1", headers={"Prefer": prefer})
    assert ("total" in response.json()) == counted
    assert "Prefer" in response.headers["vary"].split(", ")


def test_an_id_that_is_none_is_refused(client: httpx2.Client) -> None:
    assert client.get("/v1/customers/42").status_code == 422
    assert client.get(f"/v1/customers/{uuid4()}").status_code == 404
