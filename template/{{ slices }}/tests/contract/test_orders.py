"""Orders: placed for a known customer, and taken only where their status allows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.kit.processes import ServiceProcess
from tests.kit.shop import ITEM, Json, new_customer, new_order, order_body, patch, pointers
from tests.kit.wire import exchange

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_a_new_order_is_pending_and_summed_up(client: httpx2.Client) -> None:
    items = [ITEM, {"sku": "B", "quantity": 3, "unit_price": "0.10"}]
    customer = new_customer(client)
    response = client.post("/v1/orders", json=order_body(customer, items=items))
    assert response.status_code == 201
    order = response.json()
    assert UUID(order["id"]).version == 7
    assert order["status"] == "pending"
    assert Decimal(order["total_amount"]) == Decimal("20.28")
    assert isinstance(order["total_amount"], str)
    assert [item["sku"] for item in order["items"]] == ["ABC-1", "B"]
    assert client.get(response.headers["location"]).json() == order


def test_all_violations_in_all_items_are_reported(client: httpx2.Client) -> None:
    body = order_body(new_customer(client))
    body["items"] = [{**ITEM, "quantity": 0}, {**ITEM, "unit_price": "-1", "color": "red"}]
    response = client.post("/v1/orders", json={**body, "currency": "euro"})
    assert response.status_code == 422
    expected = {"#/currency", "#/items/0/quantity", "#/items/1/unit_price", "#/items/1/color"}
    assert pointers(response) == expected


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"items": []}, "must have 1 or more items"),
        ({"items": {}}, "must be an array"),
        ({"items": [7]}, "must be an object"),
        ({"items": [{**ITEM, "unit_price": None}]}, "must be a number, or a string with one"),
        ({"items": [{**ITEM, "quantity": 1e300}]}, "is too large a number"),
        ({"customer_id": 7}, "must be a string with a UUID"),
    ],
)
def test_what_is_wrong_is_said_in_terms_of_json(
    client: httpx2.Client, changed: Json, detail: str
) -> None:
    response = client.post("/v1/orders", json={**order_body(new_customer(client)), **changed})
    assert [error["detail"] for error in response.json()["errors"]] == [detail]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff",
        b"[1,",
        b'{"a":}',
        b"nul",
        b'{"a": NaN}',
        b"[" * 9999,
        b'{"items": [{"sku": "a", "sku": "b"}]}',
    ],
)
def test_malformed_json_is_a_bad_request(client: httpx2.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/orders", content=body, headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_members_by_the_thousand_are_not_looked_at(client: httpx2.Client) -> None:
    members = {f"m{number}": number for number in range(300)}
    response = client.post("/v1/orders", json=members)
    assert response.status_code == 400
    assert "250 members" in response.json()["detail"]
    few = dict(list(members.items())[:200])
    batch = client.post("/v1/order-batches", json={"orders": [{"items": [few] * 6}, few]}).json()
    many, fewer = (item["problem"]["errors"] for item in batch["items"])
    assert len(many) == 1
    assert len(fewer) == 20


@pytest.mark.parametrize(
    ("given", "stored"),
    [("1.1", "1.10"), (5, "5.00"), ("1E+2", "100.00"), ("-0", "0.00"), ("1.100", "1.10")],
)
def test_an_amount_is_answered_as_it_is_stored(
    client: httpx2.Client, given: object, stored: str
) -> None:
    order = new_order(client, items=[{**ITEM, "quantity": 1, "unit_price": given}])
    assert order["items"][0]["unit_price"] == stored
    assert order["total_amount"] == stored
    assert client.get(f"/v1/orders/{order['id']}").json() == order


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("quantity", True),
        ("quantity", "1"),
        ("quantity", 1.5),
        ("unit_price", True),
        ("unit_price", "1_000"),
        ("unit_price", "\uff11"),
        ("unit_price", "0e999999"),
        ("unit_price", "1.001"),
        ("unit_price", ""),
    ],
)
def test_a_number_is_one_in_json_too(client: httpx2.Client, member: str, value: object) -> None:
    body = order_body(new_customer(client), items=[{**ITEM, member: value}])
    response = client.post("/v1/orders", json=body)
    assert response.status_code == 422
    assert pointers(response) == {f"#/items/0/{member}"}


def test_the_status_of_what_breaks_the_rules_can_be_another(
    start_service: StartService, client: httpx2.Client
) -> None:
    with (
        start_service(HTTP_VALIDATION_STATUS="400") as server,
        httpx2.Client(base_url=server.url, headers=client.headers) as caller,
    ):
        refused = caller.get("/v1/customers?limit=0")
        batch = caller.post("/v1/order-batches", json={"orders": [5]})
        responses = caller.get("/openapi.json").json()["paths"]["/v1/orders"]["post"]["responses"]
    assert "400" in responses
    assert "422" not in responses
    assert refused.status_code == refused.json()["status"] == 400
    assert batch.json()["items"][0]["status"] == 400


@pytest.mark.parametrize(("before", "after"), [("{", "}"), ("urn:uuid:", "")])
def test_an_id_is_written_in_one_way(client: httpx2.Client, before: str, after: str) -> None:
    order = new_order(client)
    assert client.get(f"/v1/orders/{before}{order['id']}{after}").status_code == 422
    body = order_body({"id": before + order["customer_id"] + after})
    assert pointers(client.post("/v1/orders", json=body)) == {"#/customer_id"}


def test_a_path_that_ends_with_a_line_break_is_no_route(client: httpx2.Client) -> None:
    order = new_order(client)
    for path in (f"/v1/orders/{order['id']}", "/v1/orders"):
        assert client.get(path).status_code == 200
        assert client.get(f"{path}%0A").status_code == 404
    body = order_body({"id": order["customer_id"] + "%0A"})
    assert pointers(client.post("/v1/orders", json=body)) == {"#/customer_id"}


@pytest.mark.parametrize(("version", "interim"), [("1.0", 0), ("1.1", 1)])
def test_only_who_knows_of_interim_answers_gets_one(
    server: ServiceProcess, client: httpx2.Client, version: str, interim: int
) -> None:
    head = [
        f"POST /v1/orders HTTP/{version}",
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 2",
        "Expect: 100-continue",
        "Connection: close",
        *(f"{name}: {value}" for name, value in client.headers.items() if name == "authorization"),
    ]
    answer = exchange(server, "\r\n".join([*head, "", "{}"]).encode())
    assert answer.count(b"100 Continue") == interim
    assert answer.count(b" 422 ") == 1


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data"])
def test_a_body_of_another_media_type_is_refused(client: httpx2.Client, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    assert client.post("/v1/orders", content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize("member", ["id", "status", "created_at", "total_amount", "tenant_id"])
def test_what_the_service_sets_cannot_be_sent(client: httpx2.Client, member: str) -> None:
    body = order_body(new_customer(client), **{member: "confirmed"})
    response = client.post("/v1/orders", json=body)
    assert response.status_code == 422
    assert pointers(response) == {f"#/{member}"}


def test_an_order_of_an_unknown_customer_is_refused(client: httpx2.Client) -> None:
    response = client.post("/v1/orders", json=order_body({"id": str(uuid4())}))
    assert response.status_code == 422
    assert pointers(response) == {"#/customer_id"}


def test_an_order_goes_only_where_its_status_allows(client: httpx2.Client) -> None:
    path = f"/v1/orders/{new_order(client)['id']}"
    assert patch(client, path, {"status": "confirmed"}).json()["status"] == "confirmed"
    assert patch(client, path, {"status": "cancelled"}).json()["status"] == "cancelled"
    refused = patch(client, path, {"status": "confirmed"})
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/problems/order-transition-not-allowed")
    assert client.get(path).json()["status"] == "cancelled"


def test_a_patch_that_changes_nothing_is_none(client: httpx2.Client) -> None:
    order = new_order(client)
    path = f"/v1/orders/{order['id']}"
    for body in ({}, {"status": "pending"}):
        unchanged = patch(client, path, body)
        assert (unchanged.status_code, unchanged.json()) == (200, order)
        assert unchanged.headers["etag"] == '"1"'
    assert patch(client, path, {"status": None}).status_code == 422


def test_a_deleted_order_is_gone(client: httpx2.Client) -> None:
    path = f"/v1/orders/{new_order(client)['id']}"
    assert client.delete(path, headers={"If-Match": '"1"'}).status_code == 204
    assert client.get(path).status_code == 404


def test_a_batch_tells_for_each_order_what_became_of_it(client: httpx2.Client) -> None:
    good = order_body(new_customer(client))
    empty = order_body({"id": str(uuid4())}, items=())
    orders = [good, empty, order_body({"id": str(uuid4())}), good]
    response = client.post("/v1/order-batches", json={"orders": orders})
    assert response.status_code == 207
    results = response.json()["items"]
    assert [result["status"] for result in results] == [201, 422, 422, 201]
    assert [result["index"] for result in results] == [0, 1, 2, 3]
    for placed in (results[0], results[3]):
        assert client.get(f"/v1/orders/{placed['id']}").json() == placed["order"]
    assert results[1]["problem"]["errors"][0]["pointer"] == "#/items"


def test_an_order_too_large_to_be_stored_is_refused_alone(client: httpx2.Client) -> None:
    good = order_body(new_customer(client))
    item = {"sku": "a", "quantity": 1000, "unit_price": "99999999.99"}
    large = {**good, "items": [item] * 11}
    response = client.post("/v1/order-batches", json={"orders": [large, good]})
    assert response.status_code == 207
    assert [result["status"] for result in response.json()["items"]] == [422, 201]
    assert pointers(client.post("/v1/orders", json=large)) == {"#/items"}


def test_a_batch_of_failures_is_still_a_207(client: httpx2.Client) -> None:
    orders: list[object] = [{}, {"currency": 1}, 5, None, [], "x"]
    response = client.post("/v1/order-batches", json={"orders": orders})
    assert response.status_code == 207
    assert [result["status"] for result in response.json()["items"]] == [422] * len(orders)


def test_a_small_request_gets_no_large_answer(client: httpx2.Client) -> None:
    items: list[Json] = [{}] * 100
    bodies = {"orders": [{"items": items}] * 100}, {"orders": [{"x" * 100_000: 1}]}
    for body in bodies:
        response = client.post("/v1/order-batches", json=body)
        assert response.status_code == 207
        assert len(response.content) < 1_000_000
        assert "x" * 1000 not in response.text


@pytest.mark.parametrize("size", [0, 101])
def test_a_batch_has_1_to_100_orders(client: httpx2.Client, size: int) -> None:
    orders: list[Json] = [{}] * size
    response = client.post("/v1/order-batches", json={"orders": orders})
    assert response.status_code == 422
    assert pointers(response) == {"#/orders"}
