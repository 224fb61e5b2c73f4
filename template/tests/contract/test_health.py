"""Probes answer what an orchestrator asks, and nothing else."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2
import psycopg

from tests.kit.processes import ServiceProcess

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_a_healthy_service_is_live_ready_and_started(client: httpx2.Client) -> None:
    for probe in ("live", "ready", "startup"):
        assert client.get(f"/health/{probe}").status_code == 200


def test_without_its_database_the_service_is_live_but_not_ready(
    start_service: StartService,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"postgresql://someone:hidden@127.0.0.1:{closed.getsockname()[1]}/nothing"
        with start_service(DATABASE_URL=nowhere) as server:
            assert httpx2.get(f"{server.url}/health/live").status_code == 200
            assert httpx2.get(f"{server.url}/health/startup").status_code == 200
            ready = httpx2.get(f"{server.url}/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "failing"
    assert "hidden" not in ready.text
    assert "127.0.0.1" not in ready.text


def test_many_probes_do_not_load_the_database(
    client: httpx2.Client, sql: psycopg.Connection[tuple[object, ...]]
) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    client.get("/health/ready")
    before = sql.execute(count).fetchone()
    for _ in range(100):
        client.get("/health/ready")
    assert sql.execute(count).fetchone() == before


def test_probes_work_under_any_host_name(client: httpx2.Client) -> None:
    assert client.get("/health/live", headers={"Host": "10.0.0.7:8000"}).status_code == 200
