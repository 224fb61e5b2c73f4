"""A request that takes longer than the server may take to stop is undone, and told so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2

from tests.kit.locks import Sql, locked, waiting_for_locks
from tests.kit.processes import ServiceProcess
from tests.kit.shop import customer_body
from tests.kit.waiting import eventually

StartService = Callable[..., AbstractContextManager[ServiceProcess]]

PATIENT = {"DATABASE_STATEMENT_TIMEOUT": "60", "DATABASE_LOCK_TIMEOUT": "60"}


def test_what_overruns_the_grace_is_cancelled_undone_and_refused(
    start_service: StartService, client: httpx2.Client, sql: Sql, database_url: str
) -> None:
    body = customer_body()
    with (
        start_service(**PATIENT, HTTP_SHUTDOWN_GRACE="1", SERVICE_NAME="overrun") as server,
        httpx2.Client(base_url=server.url, headers=client.headers, timeout=30) as slow,
        ThreadPoolExecutor(1) as beside,
        locked(database_url, "customers"),
    ):
        overrun = beside.submit(slow.post, "/v1/customers", json=body)
        eventually(lambda: waiting_for_locks(sql))
        assert server.terminate(15) == 0
        response = overrun.result()
        assert server.lines()[-1]["event"] == "stopped"
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'overrun'"
        eventually(lambda: sql.execute(left).fetchone() == (0,))
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    stored = "SELECT count(*) FROM customers WHERE email = %s"
    assert sql.execute(stored, [body["email"]]).fetchone() == (0,)


def test_what_ends_within_the_grace_is_answered(
    start_service: StartService, client: httpx2.Client, sql: Sql, database_url: str
) -> None:
    with (
        start_service(**PATIENT) as server,
        httpx2.Client(base_url=server.url, headers=client.headers, timeout=30) as slow,
        ThreadPoolExecutor(2) as beside,
    ):
        with locked(database_url, "customers"):
            request = beside.submit(slow.post, "/v1/customers", json=customer_body())
            eventually(lambda: waiting_for_locks(sql))
            stopping = beside.submit(server.terminate)
            eventually(lambda: server.events("draining"))
        assert request.result().status_code == 201
        assert stopping.result() == 0
