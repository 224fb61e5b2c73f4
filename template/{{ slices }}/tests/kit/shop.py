"""Customers and orders for tests, made as a client makes them."""

from typing import Any
from uuid import uuid4

import httpx2

Json = dict[str, Any]
ITEM: Json = {"sku": "ABC-1", "quantity": 2, "unit_price": "9.99"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


def customer_body(**changes: object) -> Json:
    """A customer that nobody else has."""
    return {"name": "Ada Lovelace", "email": f"{uuid4().hex}@example.com", **changes}


def new_customer(client: httpx2.Client, **changes: object) -> Json:
    """Create a customer."""
    response = client.post("/v1/customers", json=customer_body(**changes))
    assert response.status_code == 201, response.text
    return response.json()


def order_body(customer: Json, **changes: object) -> Json:
    """An order of the customer."""
    return {"customer_id": customer["id"], "currency": "EUR", "items": [ITEM], **changes}


def new_order(client: httpx2.Client, customer: Json | None = None, **changes: object) -> Json:
    """Create an order, and a customer for it where none is given."""
    body = order_body(customer or new_customer(client), **changes)
    response = client.post("/v1/orders", json=body)
    assert response.status_code == 201, response.text
    return response.json()


def patch(client: httpx2.Client, path: str, body: object, etag: str = "*") -> httpx2.Response:
    """Send a merge patch."""
    return client.patch(path, json=body, headers={**MERGE_PATCH, "If-Match": etag})


def pointers(response: httpx2.Response) -> set[str]:
    """The places that a validation problem complains about."""
    return {error["pointer"] for error in response.json()["errors"]}
