"""Put among the tests of a rendered service: measures pages of a list of a million orders.

Writes the figures to `BENCHMARK_STATE`.
"""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from tests.kit.shop import new_order

Connection = psycopg.Connection[tuple[object, ...]]

ORDERS = 1_000_000
DEEP = 1_000
TURNS = 300
# Copies of one order of the caller, whatever columns the patterns have given it.
FILL = f"""
INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object(
    'id', gen_random_uuid(), 'total_amount', n % 5000,
    'created_at', o.created_at - n * interval '1 second'
))).* FROM orders o, generate_series(1, {ORDERS}) n;
INSERT INTO order_items SELECT id, 0, 'ABC-1', 2, 9.99 FROM orders
    ON CONFLICT DO NOTHING;
"""
LISTS = {"newest first": "-created_at", "by amount": "total_amount"}


def test_paging_figures(client: httpx2.Client, sql: Connection) -> None:
    new_order(client)
    sql.execute("SET statement_timeout = 0")
    sql.execute(FILL.encode())
    sql.execute("VACUUM ANALYZE")
    figures = {name: _figures(client, sort) for name, sort in LISTS.items()}
    Path(os.environ["BENCHMARK_STATE"]).write_text(json.dumps(figures))


def _figures(client: httpx2.Client, sort: str) -> dict[str, float]:
    """Median milliseconds of both pages, taking turns, and the median of their turns' ratios."""
    first: dict[str, Any] = {"sort": sort}
    deep = {"sort": sort, "cursor": _cursor(client, sort)}
    turns = [(_milliseconds(client, first), _milliseconds(client, deep)) for _ in range(TURNS)]
    return {
        "first": statistics.median(turn[0] for turn in turns),
        "deep": statistics.median(turn[1] for turn in turns),
        "ratio": statistics.median(turn[1] / turn[0] for turn in turns),
    }


def _cursor(client: httpx2.Client, sort: str) -> str:
    """Walk to the page as a client does."""
    cursor = ""
    for _ in range(DEEP - 1):
        query = {"sort": sort, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/v1/orders", params=query)
        cursor = answer.json()["cursors"]["next"]
    return cursor


def _milliseconds(client: httpx2.Client, query: dict[str, Any]) -> float:
    started = time.perf_counter()
    client.get("/v1/orders", params=query).raise_for_status()
    return (time.perf_counter() - started) * 1000
