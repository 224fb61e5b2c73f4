"""What happens to an order is told to others, exactly if it happened."""

from collections.abc import Generator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.kit.brokers import delete_topic, stored
from tests.kit.outbox import Sql, eventually
from tests.kit.processes import run_process
from tests.kit.shop import ITEM, new_customer, new_order, order_body, patch

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def events_of(sql: Sql, order_id: str) -> list[str]:
    query = "SELECT type FROM outbox WHERE aggregateid = %s ORDER BY position"
    return [type_ for (type_,) in sql.execute(query, [order_id])]


@pytest.fixture
def topic(broker_url: str) -> Generator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    delete_topic(broker_url, name)


def test_an_order_and_its_event_are_stored_together(client: httpx2.Client, sql: Sql) -> None:
    client.headers["traceparent"] = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    client.headers["x-request-id"] = "the-request"
    order = new_order(client)
    query = """
        SELECT id, aggregatetype, type, payload, created, status, attempts, trace
        FROM outbox WHERE aggregateid = %s
    """
    ((event_id, aggregate, type_, payload, created, status, attempts, trace),) = sql.execute(
        query, [order["id"]]
    ).fetchall()
    assert isinstance(event_id, UUID)
    assert (aggregate, type_, status, attempts) == ("order", "order.created", "pending", 0)
    assert payload == order
    assert created.tzinfo is not None
    assert trace["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert trace["x-request-id"] == "the-request"


def test_an_order_that_is_refused_leaves_no_event(client: httpx2.Client, sql: Sql) -> None:
    count = "SELECT count(*) FROM outbox"
    before = sql.execute(count).fetchone()
    assert client.post("/v1/orders", json=order_body({"id": str(uuid4())})).status_code == 422
    assert sql.execute(count).fetchone() == before


def test_of_a_batch_only_what_succeeded_leaves_an_event(client: httpx2.Client, sql: Sql) -> None:
    good, bad = order_body(new_customer(client)), order_body({"id": str(uuid4())})
    response = client.post("/v1/order-batches", json={"orders": [good, bad, good]})
    results = response.json()["items"]
    assert [result["status"] for result in results] == [201, 422, 201]
    for result in (results[0], results[2]):
        assert events_of(sql, result["id"]) == ["order.created"]


@pytest.mark.parametrize(
    ("statuses", "events"),
    [
        (["confirmed", "cancelled"], ["order.created", "order.confirmed", "order.cancelled"]),
        (["rejected", "confirmed"], ["order.created", "order.rejected"]),
    ],
)
def test_every_change_of_status_is_an_event(
    client: httpx2.Client, sql: Sql, statuses: list[str], events: list[str]
) -> None:
    order = new_order(client)
    for status in statuses:
        patch(client, f"/v1/orders/{order['id']}", {"status": status})
    assert events_of(sql, order["id"]) == events


def test_events_reach_the_broker_in_order_and_are_counted_once(
    client: httpx2.Client, sql: Sql, environment: dict[str, str], broker_url: str, topic: str
) -> None:
    order = new_order(client, items=[ITEM])
    patch(client, f"/v1/orders/{order['id']}", {"status": "confirmed"})
    counted: list[tuple[Any, ...]] = [(1, 1, 0, 0)]
    variables = {**environment, "BROKER_URL": broker_url, "BROKER_TOPIC": topic}
    with (
        run_process("relay", variables) as relay,
        run_process("worker", variables) as worker,
    ):
        query = """
            SELECT created, confirmed, cancelled, rejected FROM customer_orders
            WHERE customer_id = %s
        """
        eventually(lambda: sql.execute(query, [order["customer_id"]]).fetchall() == counted)
        assert worker.terminate() == relay.terminate() == 0
    messages = [m for m in stored(broker_url, topic) if m.key == order["id"]]
    assert [message.headers["ce-type"] for message in messages] == [
        "order.created",
        "order.confirmed",
    ]
