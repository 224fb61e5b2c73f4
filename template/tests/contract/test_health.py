"""Probes answer what an orchestrator asks, and nothing else."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2
import psycopg

from tests.kit.faults import proxied
from tests.kit.processes import ServiceProcess
from tests.kit.waiting import eventually

StartService = Callable[..., AbstractContextManager[ServiceProcess]]


def test_a_healthy_service_is_live_ready_and_started(client: httpx2.Client) -> None:
    for probe in ("live", "ready", "startup"):
        assert client.get(f"/health/{probe}").status_code == 200


def test_without_its_database_the_service_starts_and_is_ready_once_there_is_one(
    start_service: StartService, database_url: str
) -> None:
    with proxied(database_url) as proxy:
        proxy.cut()
        with start_service(DATABASE_URL=proxy.url, HEALTH_CACHE_TTL="0") as server:
            assert httpx2.get(f"{server.url}/health/live").status_code == 200
            assert httpx2.get(f"{server.url}/health/startup").status_code == 200
            ready = httpx2.get(f"{server.url}/health/ready")
            assert ready.status_code == 503
            assert ready.json()["checks"]["database"] == "failing"
            secrets = re.split("[/:@]+", proxy.url)[1:]
            assert [secret for secret in secrets if secret and secret in ready.text] == []
            proxy.restore()
            eventually(lambda: httpx2.get(f"{server.url}/health/ready").status_code == 200)


def test_many_probes_at_once_do_not_load_the_database(
    client: httpx2.Client, sql: psycopg.Connection[tuple[object, ...]]
) -> None:
    count = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
    """
    client.get("/health/ready")
    before = sql.execute(count).fetchone()
    with ThreadPoolExecutor(20) as together:
        answers = together.map(client.get, ["/health/ready"] * 100)
        assert {answer.status_code for answer in answers} == {200}
    assert sql.execute(count).fetchone() == before


def test_probes_work_under_any_host_name(client: httpx2.Client) -> None:
    for probe in ("live", "ready", "startup"):
        response = client.get(f"/health/{probe}", headers={"Host": "10.0.0.7:8000"})
        assert response.status_code == 200


def test_what_is_only_named_like_a_probe_is_none(client: httpx2.Client) -> None:
    for path in ("/health/nothing-here", "/health/live/more", "/health/"):
        assert client.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 400
        assert client.get(path).status_code == 404
