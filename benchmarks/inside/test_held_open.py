"""Put among the tests of a rendered service: keeps the servers that its tests get for a benchmark.

Writes what a process of the service needs to `BENCHMARK_STATE`, and waits until its standard
input is closed.
"""

import json
import os
import sys
from pathlib import Path

import httpx2
from tests.kit.shop import new_customer, order_body

ORDERS = 200
ITEMS = [
    {"sku": f"ABC-{number}", "quantity": number, "unit_price": f"{number}.99"}
    for number in range(1, 4)
]


def test_held_open(environment: dict[str, str], client: httpx2.Client) -> None:
    customer = new_customer(client)
    order = order_body(customer, items=ITEMS)
    for _ in range(ORDERS // 100):
        answer = client.post("/v1/order-batches", json={"orders": [order] * 100})
        assert {result["status"] for result in answer.json()["items"]} == {201}
    state = {
        "environment": environment,
        "headers": {"Authorization": client.headers.get("Authorization", "Bearer none")},
        "order": order,
    }
    Path(os.environ["BENCHMARK_STATE"]).write_text(json.dumps(state))
    sys.stdin.read()
