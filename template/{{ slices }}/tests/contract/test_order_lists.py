"""Lists of orders: filtered, sorted, cut down to fields, and walked by cursor."""

import time
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.kit.shop import Json, new_customer, new_order, patch


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("sort=bad&fields=bad", ["sort", "fields"]),
        ("limit=0&status=x&sort=bad&foo=1", ["status", "sort", "limit", "foo"]),
        ("status=x&limit=1&limit=2", ["status", "limit"]),
        ("limit=1&limit=1", ["limit"]),
    ],
)
def test_everything_that_is_wrong_with_a_query_is_told(
    client: httpx2.Client, query: str, refused: list[str]
) -> None:
    response = client.get(f"/v1/orders?{query}")
    assert response.status_code == 422
    assert [error["parameter"] for error in response.json()["errors"]] == refused


@pytest.fixture
def customer(client: httpx2.Client) -> Json:
    """A customer with seven orders, three pairs of which have equal totals."""
    customer = new_customer(client)
    for price in ("3.00", "1.00", "2.00", "2.00", "1.00", "3.00", "5.00"):
        item = {"sku": "A", "quantity": 1, "unit_price": price}
        new_order(client, customer, items=[item])
    return customer


def walk(client: httpx2.Client, **query: str) -> list[Any]:
    """Every item of a list, page by page."""
    page = client.get("/v1/orders", params=query).json()
    items = page["items"]
    while "next" in page:
        page = client.get(page["next"]).json()
        items += page["items"]
    return items


@pytest.mark.parametrize(
    "sort",
    [
        "created_at",
        "-created_at",
        "+total_amount",
        "-total_amount,created_at",
        "total_amount,-created_at",
    ],
)
def test_a_walk_visits_every_order_once_in_order(
    client: httpx2.Client, customer: Json, sort: str
) -> None:
    orders = walk(client, customer_id=customer["id"], sort=sort, limit="2")
    assert len({order["id"] for order in orders}) == len(orders) == 7
    for key in reversed(sort.split(",")):
        name = key.lstrip("+-")
        values = [Decimal(o[name]) if name == "total_amount" else o[name] for o in orders]
        if key == sort.split(",", maxsplit=1)[0]:
            assert values == sorted(values, reverse=key.startswith("-"))


def test_rows_that_come_and_go_do_not_disturb_a_walk(client: httpx2.Client, customer: Json) -> None:
    page = client.get("/v1/orders", params={"customer_id": customer["id"], "limit": "3"}).json()
    stable = {order["id"] for order in walk(client, customer_id=customer["id"])}
    removed = page["items"][-1]["id"]
    client.delete(f"/v1/orders/{removed}", headers={"If-Match": "*"})
    new_order(client, customer)
    seen = [order["id"] for order in page["items"]]
    while "next" in page:
        page = client.get(page["next"]).json()
        seen += [order["id"] for order in page["items"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == stable


def test_pages_lead_back_as_they_lead_on(client: httpx2.Client, customer: Json) -> None:
    first = client.get("/v1/orders", params={"customer_id": customer["id"], "limit": "3"}).json()
    assert "prev" not in first
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    assert "next" not in third
    assert client.get(third["prev"]).json()["items"] == second["items"]
    back = client.get(second["prev"]).json()
    assert back["items"] == first["items"]
    assert "prev" not in back
    assert second["cursors"]["next"] in second["next"]


def test_filters_narrow_a_list(client: httpx2.Client, customer: Json) -> None:
    orders = walk(client, customer_id=customer["id"], sort="created_at")
    patch(client, f"/v1/orders/{orders[0]['id']}", {"status": "cancelled"})
    assert len(walk(client, customer_id=customer["id"], status="pending")) == 6
    assert len(walk(client, customer_id=customer["id"], status="cancelled")) == 1
    middle = orders[3]["created_at"]
    assert len(walk(client, customer_id=customer["id"], created_after=middle)) == 3
    assert len(walk(client, customer_id=customer["id"], created_before=middle)) == 3
    assert walk(client, customer_id=customer["id"], created_before="2020-01-01") == []


def test_fields_cut_the_items_down(client: httpx2.Client, customer: Json) -> None:
    query = {"customer_id": customer["id"], "fields": "id,status", "limit": "2"}
    page = client.get("/v1/orders", params=query).json()
    assert [set(order) for order in page["items"]] == [{"id", "status"}] * 2
    assert [set(order) for order in client.get(page["next"]).json()["items"]] == [
        {"id", "status"}
    ] * 2


@pytest.mark.parametrize(
    "raw", ["%2Btotal_amount", "+total_amount", "%20total_amount", "total_amount"]
)
def test_a_plus_means_ascending_however_it_is_encoded(
    client: httpx2.Client, customer: Json, raw: str
) -> None:
    url = f"/v1/orders?customer_id={customer['id']}&sort={raw}"
    totals = [Decimal(order["total_amount"]) for order in client.get(url).json()["items"]]
    assert totals == sorted(totals)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sort", ""),
        ("sort", "password_hash"),
        ("sort", "created_at,created_at"),
        ("sort", "created_at;DROP TABLE orders"),
        ("sort", "(CASE WHEN 1=1 THEN created_at END)"),
        ("fields", "password_hash"),
        ("fields", ""),
        ("status", "'; SELECT pg_sleep(5)--"),
        ("customer_id", "1 OR 1=1"),
        ("created_after", "yesterday"),
        ("created_before", "0.5"),
        ("created_before", "2020-01-01T00:00:00 02:00"),
        ("limit", "1000000000"),
        ("unknown", "1"),
    ],
)
def test_what_is_not_offered_is_refused(client: httpx2.Client, name: str, value: str) -> None:
    started = time.monotonic()
    response = client.get("/v1/orders", params={name: value})
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == name
    assert time.monotonic() - started < 4


def test_a_parameter_that_is_there_twice_is_refused(client: httpx2.Client) -> None:
    for query in ("limit=1&limit=2", "status=pending&status=pending"):
        response = client.get(f"/v1/orders?{query}")
        assert response.status_code == 422
        assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_a_cursor_that_was_changed_or_belongs_elsewhere_is_refused(
    client: httpx2.Client, customer: Json
) -> None:
    query = {"customer_id": customer["id"], "limit": "2"}
    cursor = client.get("/v1/orders", params=query).json()["cursors"]["next"]
    flipped = ("A" if cursor[20] != "A" else "B").join((cursor[:20], cursor[21:]))
    for bad in (flipped, cursor[:-4], cursor + "A", "", "x", "é", "A" * 3000):
        response = client.get("/v1/orders", params={**query, "cursor": bad})
        assert response.status_code == 400, bad
        assert response.json()["type"].endswith("/problems/invalid-cursor")
    for other in ({"sort": "total_amount"}, {"status": "pending"}):
        response = client.get("/v1/orders", params={**query, **other, "cursor": cursor})
        assert response.status_code == 400
    assert client.get("/v1/orders", params={**query, "cursor": cursor}).status_code == 200
