"""What belongs to somebody else looks, to everybody else, as if it did not exist."""

from collections.abc import Generator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from tests.kit.identity import Identity, new_identity, password_grant
from tests.kit.shop import (
    MERGE_PATCH,
    customer_body,
    new_customer,
    new_order,
    order_body,
    patch,
)

Sql = psycopg.Connection[tuple[object, ...]]
Json = dict[str, Any]
ANY = {"If-Match": "*"}


@pytest.fixture
def peer(client: httpx2.Client) -> Generator[httpx2.Client]:
    """A client of another user."""
    with httpx2.Client(base_url=client.base_url, headers=new_identity(client).headers) as peer:
        yield peer


@pytest.fixture
def admin(client: httpx2.Client, sql: Sql) -> Generator[httpx2.Client]:
    """A client of an admin."""
    user = new_identity(client)
    sql.execute("UPDATE users SET admin = true WHERE email = %s", [user.email])
    tokens = password_grant(client, user.email).json()
    headers = Identity(user.email, tokens).headers
    with httpx2.Client(base_url=client.base_url, headers=headers) as admin:
        yield admin


def same_apart_from_ids(one: httpx2.Response, other: httpx2.Response) -> bool:
    """Whether two answers cannot be told apart."""
    varying = {"request_id", "instance"}
    contents: list[Json] = [r.json() if r.content else {} for r in (one, other)]
    bodies = [{k: v for k, v in content.items() if k not in varying} for content in contents]
    names = [sorted(response.headers) for response in (one, other)]
    return one.status_code == other.status_code and bodies[0] == bodies[1] and names[0] == names[1]


def every_access(
    client: httpx2.Client, customer_id: object, order_id: object
) -> list[httpx2.Response]:
    """Every route that takes an id, with requests that would succeed for the owner."""
    customer, order = f"/v1/customers/{customer_id}", f"/v1/orders/{order_id}"
    return [
        client.get(customer),
        client.get(customer, headers={"If-None-Match": '"1"'}),
        client.put(customer, json=customer_body(), headers=ANY),
        client.patch(customer, json={"name": "Mine"}, headers={**MERGE_PATCH, **ANY}),
        client.delete(customer, headers=ANY),
        client.delete(customer, headers={"If-Match": '"99"'}),
        client.get(order),
        client.get(order, headers={"If-None-Match": '"1"'}),
        client.patch(order, json={"status": "confirmed"}, headers={**MERGE_PATCH, **ANY}),
        client.patch(
            order, json={"status": "confirmed"}, headers={**MERGE_PATCH, "If-Match": '"9"'}
        ),
        client.delete(order, headers=ANY),
    ]


def test_a_foreign_id_answers_like_one_that_does_not_exist(
    client: httpx2.Client, peer: httpx2.Client
) -> None:
    customer = new_customer(client)
    order = new_order(client, customer)
    foreign = every_access(peer, customer["id"], order["id"])
    missing = every_access(peer, uuid4(), uuid4())
    for one, other in zip(foreign, missing, strict=True):
        assert one.status_code == 404
        assert same_apart_from_ids(one, other)
    assert client.get(f"/v1/customers/{customer['id']}").json() == customer
    assert client.get(f"/v1/orders/{order['id']}").json() == order


def test_without_the_right_precondition_a_foreign_id_answers_alike_too(
    client: httpx2.Client, peer: httpx2.Client
) -> None:
    order = new_order(client)
    etag = client.get(f"/v1/orders/{order['id']}").headers["etag"]
    change = b'{"status": "confirmed"}'
    for headers in ({}, {"If-Match": etag}, {"If-Match": "nonsense"}, {"If-None-Match": etag}):
        for method in ("HEAD", "GET", "PATCH", "DELETE"):
            content = change if method == "PATCH" else None
            sent = {**MERGE_PATCH, **headers}
            foreign, missing = (
                peer.request(method, f"/v1/orders/{number}", headers=sent, content=content)
                for number in (order["id"], uuid4())
            )
            assert foreign.status_code in (400, 404, 428)
            assert same_apart_from_ids(foreign, missing)
    assert client.get(f"/v1/orders/{order['id']}").headers["etag"] == etag


def test_the_owner_may_do_all_of_it(client: httpx2.Client) -> None:
    customer = new_customer(client)
    path = f"/v1/customers/{customer['id']}"
    order = new_order(client, customer)
    assert client.put(path, json=customer_body(), headers=ANY).status_code == 200
    assert patch(client, path, {"name": "Mine"}).status_code == 200
    assert patch(client, f"/v1/orders/{order['id']}", {"status": "confirmed"}).status_code == 200
    assert client.delete(f"/v1/orders/{order['id']}", headers=ANY).status_code == 204
    assert client.delete(path, headers=ANY).status_code == 204


def test_an_order_cannot_name_a_foreign_customer(
    client: httpx2.Client, peer: httpx2.Client
) -> None:
    customer = new_customer(client)
    foreign = peer.post("/v1/orders", json=order_body(customer))
    missing = peer.post("/v1/orders", json=order_body({"id": str(uuid4())}))
    assert foreign.status_code == 422
    assert same_apart_from_ids(foreign, missing)


def test_a_batch_cannot_name_a_foreign_customer(client: httpx2.Client, peer: httpx2.Client) -> None:
    own, foreign = new_customer(peer), new_customer(client)
    body = {"orders": [order_body(own), order_body(foreign), order_body(own)]}
    results = peer.post("/v1/order-batches", json=body).json()["items"]
    assert [result["status"] for result in results] == [201, 422, 201]
    assert client.get("/v1/orders").json()["items"] == []


def test_lists_counts_and_filters_know_only_what_is_the_callers(
    client: httpx2.Client, peer: httpx2.Client
) -> None:
    order = new_order(client)
    count = {"Prefer": "count=exact"}
    assert client.get("/v1/customers", headers=count).json()["total"] == 1
    assert peer.get("/v1/customers", headers=count).json()["total"] == 0
    assert peer.get("/v1/customers").json()["items"] == []
    for query in ("", f"?customer_id={order['customer_id']}", "?status=pending&sort=total_amount"):
        assert peer.get(f"/v1/orders{query}").json()["items"] == []
        assert len(client.get(f"/v1/orders{query}").json()["items"]) == 1


def test_a_cursor_is_good_for_its_caller_only(client: httpx2.Client, peer: httpx2.Client) -> None:
    customer = new_customer(client)
    for _ in range(3):
        new_order(client, customer)
    new_order(peer)
    page = client.get("/v1/orders", params={"limit": 1}).json()
    query = {"limit": 1, "cursor": page["cursors"]["next"]}
    assert client.get("/v1/orders", params=query).status_code == 200
    assert peer.get("/v1/orders", params=query).status_code == 400


def test_each_owner_has_email_addresses_of_their_own(
    client: httpx2.Client, peer: httpx2.Client
) -> None:
    body = customer_body()
    assert client.post("/v1/customers", json=body).status_code == 201
    assert client.post("/v1/customers", json=body).status_code == 409
    assert peer.post("/v1/customers", json=body).status_code == 201


@pytest.mark.parametrize("name", ["owner_id", "owner", "user_id", "tenant_id"])
def test_an_owner_cannot_be_sent(client: httpx2.Client, name: str) -> None:
    customer = new_customer(client)
    someone = str(uuid4())
    path = f"/v1/customers/{customer['id']}"
    answers = [
        client.post("/v1/customers", json=customer_body(**{name: someone})),
        client.put(path, json=customer_body(**{name: someone}), headers=ANY),
        patch(client, path, {name: someone}),
        client.post("/v1/orders", json=order_body(customer, **{name: someone})),
        client.get("/v1/orders", params={name: someone}),
    ]
    assert [answer.status_code for answer in answers] == [422] * 5


def test_an_owner_is_never_shown(client: httpx2.Client) -> None:
    order = new_order(client)
    shown = client.get("/v1/orders").json()["items"][0]
    assert "owner_id" not in {*order, *shown, *client.get("/v1/customers").json()["items"][0]}
    assert client.get("/v1/orders", params={"fields": "owner_id"}).status_code == 422
    assert client.get("/v1/orders", params={"sort": "owner_id"}).status_code == 422


def test_an_admin_sees_and_changes_everything(client: httpx2.Client, admin: httpx2.Client) -> None:
    customer = new_customer(client)
    order = new_order(client, customer)
    path = f"/v1/orders/{order['id']}"
    assert admin.get(path).json() == order
    assert admin.get(f"/v1/customers/{customer['id']}").json() == customer
    listed = admin.get("/v1/orders", params={"customer_id": customer["id"]}).json()["items"]
    assert [item["id"] for item in listed] == [order["id"]]
    assert patch(admin, path, {"status": "confirmed"}).status_code == 200
    assert client.get(path).json()["status"] == "confirmed"


def test_who_is_no_longer_an_admin_sees_only_their_own_again(
    client: httpx2.Client, admin: httpx2.Client, sql: Sql
) -> None:
    order = new_order(client)
    sql.execute("UPDATE users SET admin = false")
    assert admin.get(f"/v1/orders/{order['id']}").status_code == 404


def test_a_disabled_admin_sees_nothing(
    client: httpx2.Client, admin: httpx2.Client, sql: Sql
) -> None:
    order = new_order(client)
    sql.execute("UPDATE users SET disabled_at = now() WHERE admin")
    assert admin.get(f"/v1/orders/{order['id']}").status_code == 401


def test_a_row_of_nobody_is_seen_by_admins_only(
    client: httpx2.Client, admin: httpx2.Client, sql: Sql
) -> None:
    customer = new_customer(client)
    sql.execute("UPDATE customers SET owner_id = NULL WHERE id = %s", [customer["id"]])
    path = f"/v1/customers/{customer['id']}"
    assert client.get(path).status_code == 404
    assert admin.get(path).status_code == 200
