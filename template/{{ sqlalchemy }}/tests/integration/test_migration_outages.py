"""`migrate` ends soon where the database does not answer, and leaves nothing half done."""

import signal
from zlib import crc32

import psycopg
import pytest

from app import about
from tests.kit.faults import proxied
from tests.kit.locks import locked, waiting_for_locks
from tests.kit.processes import run_process
from tests.kit.servers import database, migrated_database
from tests.kit.waiting import eventually

IMPATIENT = {"DATABASE_CONNECT_TIMEOUT": "1", "DATABASE_MIGRATION_STATEMENT_TIMEOUT": "1"}
FAILED = 1


def test_a_silent_database_is_given_up(postgres_url: str) -> None:
    with proxied(postgres_url) as proxy:
        proxy.blackhole()
        with run_process("migrate", {"DATABASE_URL": proxy.url, **IMPATIENT}) as migrate:
            assert migrate.process.wait(20) == FAILED
            assert [line["event"] for line in migrate.lines()] == ["crashed"]


def test_a_database_that_falls_silent_is_given_up_and_migrated_later(postgres_url: str) -> None:
    with database(postgres_url) as url, proxied(url) as proxy:
        settings = {"DATABASE_URL": proxy.url, **IMPATIENT}
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(
                "SELECT pg_advisory_lock(%s)", [crc32(f"{about.SLUG}:migrations".encode())]
            )
            with run_process("migrate", settings) as migrate:
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                eventually(lambda: other.execute(waiting).fetchone() == (3,))
                proxy.blackhole()
                assert migrate.process.wait(20) == FAILED
        proxy.restore()
        with run_process("migrate", settings) as migrate:
            assert migrate.process.wait(30) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_migration_that_is_interrupted_is_rolled_back_at_once(
    postgres_url: str, signum: signal.Signals
) -> None:
    with migrated_database(postgres_url) as url, psycopg.connect(url, autocommit=True) as sql:
        sql.execute("UPDATE alembic_version SET version_num = version_num")
        with (
            locked(url, "alembic_version"),
            run_process("migrate", {"DATABASE_URL": url}) as migrate,
        ):
            eventually(lambda: waiting_for_locks(sql))
            migrate.process.send_signal(signum)
            assert migrate.process.wait(10) == 128 + signum
            eventually(lambda: waiting_for_locks(sql) == 0, seconds=2)
