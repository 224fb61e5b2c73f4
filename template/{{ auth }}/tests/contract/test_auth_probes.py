"""Probes ask nobody who they are."""

import httpx2
import psycopg

from tests.kit.identity import StartService


def test_a_token_at_a_probe_is_not_looked_up(
    start_service: StartService, client: httpx2.Client, database_url: str
) -> None:
    patient = {"DATABASE_LOCK_TIMEOUT": "20", "DATABASE_STATEMENT_TIMEOUT": "20"}
    with start_service(**patient) as server, psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        for probe in ("live", "ready", "startup"):
            url = f"{server.url}/health/{probe}"
            assert httpx2.get(url, headers=client.headers, timeout=5).status_code == 200
        connection.rollback()


def test_a_token_that_is_not_accepted_is_no_matter_to_a_probe(client: httpx2.Client) -> None:
    for credentials in ("Bearer nonsense", "Bearer", "Basic YTpi"):
        response = client.get("/health/live", headers={"Authorization": credentials})
        assert response.status_code == 200
