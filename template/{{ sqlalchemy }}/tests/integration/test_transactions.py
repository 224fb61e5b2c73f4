"""A unit of work commits as a whole, is run again when it lost a race, and never waits for long."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
import structlog
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.chassis.database import Database, DatabaseSettings, add_database, transactional
from app.chassis.database.engine import create_engine
from app.chassis.errors import Conflict, Unavailable
from app.chassis.logging import add_logging
from app.chassis.service import assemble
from app.chassis.web import add_health

Connection = psycopg.Connection[tuple[object, ...]]

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@pytest.fixture(autouse=True)
def accounts(sql: Connection) -> Generator[None]:
    """Two accounts with 100 each."""
    sql.execute("CREATE TABLE accounts (name text PRIMARY KEY, amount int NOT NULL)")
    sql.execute("INSERT INTO accounts VALUES ('a', 100), ('b', 100)")
    yield
    sql.execute("DROP TABLE accounts")


@asynccontextmanager
async def connected(url: str, **settings: object) -> AsyncGenerator[Database]:
    chosen = DatabaseSettings.model_validate({"url": url, "pool_timeout": 0.2, **settings})
    engine = create_engine(chosen, "tests")
    try:
        yield Database(engine, chosen.transaction_attempts)
    finally:
        await engine.dispose()


class Accounts:
    """Use cases that race."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs = 0
        self.read = 0
        self.both_have_read = asyncio.Event()

    async def amount(self, name: str) -> int:
        query = text("SELECT amount FROM accounts WHERE name = :name").bindparams(name=name)
        async with self.database.reading() as session:
            return (await session.scalars(query)).one()

    async def sleep(self, seconds: int) -> None:
        async with self.database.reading() as session:
            await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})

    @transactional()
    async def open(self, name: str) -> None:
        statement = text("INSERT INTO accounts VALUES (:name, 0)")
        await self.database.session.execute(statement, {"name": name})

    async def change(self, name: str, by: int) -> None:
        statement = "UPDATE accounts SET amount = amount + :by WHERE name = :name"
        await self.database.session.execute(text(statement), {"name": name, "by": by})

    @transactional("SERIALIZABLE")
    async def withdraw_if_both_cover(self, name: str, amount: int) -> bool:
        """Write skew: each withdrawal alone keeps the sum above zero, both together do not."""
        self.runs += 1
        covered = await self.amount("a") + await self.amount("b") >= amount
        self.read += 1
        if self.read >= 2:
            self.both_have_read.set()
        await self.both_have_read.wait()
        if covered:
            await self.change(name, -amount)
        return covered

    @transactional()
    async def transfer(self, *, fail: bool) -> None:
        await self.change("a", -10)
        await self.nested()
        if fail:
            raise ZeroDivisionError

    @transactional("REPEATABLE READ")
    async def read_twice(self) -> None:
        await self.nested()
        async with self.database.transaction("READ COMMITTED"):
            await self.withdraw_if_both_cover("a", 150)

    @transactional()
    async def nested(self) -> None:
        await self.change("b", 10)


async def test_a_failure_undoes_everything_that_joined(database_url: str) -> None:
    async with connected(database_url) as database:
        accounts = Accounts(database)
        await accounts.transfer(fail=False)
        with pytest.raises(ZeroDivisionError):
            await accounts.transfer(fail=True)
        assert (await accounts.amount("a"), await accounts.amount("b")) == (90, 110)


async def test_a_transaction_that_lost_a_race_is_run_again(database_url: str) -> None:
    async with connected(database_url, transaction_attempts=10) as database:
        accounts = Accounts(database)
        withdrawals = (accounts.withdraw_if_both_cover(name, 150) for name in ("a", "b"))
        assert sorted(await asyncio.gather(*withdrawals)) == [False, True]
        assert accounts.runs > 2
        assert await accounts.amount("a") + await accounts.amount("b") == 50


async def test_the_number_of_runs_is_bounded(database_url: str) -> None:
    async with connected(database_url, transaction_attempts=1) as database:
        accounts = Accounts(database)
        withdrawals = [accounts.withdraw_if_both_cover(name, 150) for name in ("a", "b")]
        results = await asyncio.gather(*withdrawals, return_exceptions=True)
        assert any(isinstance(result, Unavailable) for result in results)


async def test_the_last_run_is_not_followed_by_a_pause_and_its_failure_is_kept(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assemble([add_logging])
    monkeypatch.setattr("app.chassis.database.transaction.FIRST_PAUSE_SECONDS", 1e9)
    async with connected(database_url, transaction_attempts=1) as database:
        accounts = Accounts(database)
        withdrawals = [accounts.withdraw_if_both_cover(name, 150) for name in ("a", "b")]
        async with asyncio.timeout(10):
            results = await asyncio.gather(*withdrawals, return_exceptions=True)
    (lost,) = [result for result in results if isinstance(result, Unavailable)]
    assert isinstance(lost.__cause__, DBAPIError)
    assert "transaction_retried" not in capsys.readouterr().out


async def test_a_transaction_does_not_join_one_that_promises_less(database_url: str) -> None:
    async with connected(database_url) as database:
        accounts = Accounts(database)
        accounts.both_have_read.set()
        with pytest.raises(RuntimeError, match="cannot join a REPEATABLE READ"):
            await accounts.read_twice()
        async with database.transaction():
            with pytest.raises(RuntimeError, match="cannot join a READ COMMITTED"):
                await accounts.read_twice()
        async with database.transaction("SERIALIZABLE"):
            await accounts.withdraw_if_both_cover("a", 150)
            await accounts.nested()
        assert (await accounts.amount("a"), await accounts.amount("b")) == (-50, 110)


async def test_callbacks_run_after_the_commit_and_only_then(database_url: str) -> None:
    told: list[str] = []
    async with connected(database_url) as database:
        async with database.transaction():
            database.after_commit(lambda: told.append("committed"))
            assert told == []
        with suppress(ZeroDivisionError):
            async with database.transaction():
                database.after_commit(lambda: told.append("never"))
                raise ZeroDivisionError
    assert told == ["committed"]


async def test_a_callback_that_fails_stops_no_other_and_is_no_failure_of_the_transaction(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assemble([add_logging])
    told: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    async def fail_later() -> None:
        raise ZeroDivisionError

    async with connected(database_url) as database, database.transaction():
        for callback in (fail, fail_later, lambda: told.append("committed")):
            database.after_commit(callback)
    assert told == ["committed"]
    assert capsys.readouterr().out.count('"after_commit_failed"') == 2


async def test_callbacks_of_what_was_undone_are_forgotten(database_url: str) -> None:
    told: list[str] = []
    async with connected(database_url) as database, database.transaction():
        database.after_commit(lambda: told.append("before"))
        with suppress(ZeroDivisionError):
            async with database.savepoint():
                database.after_commit(lambda: told.append("undone"))
                raise ZeroDivisionError
        async with database.savepoint():
            database.after_commit(lambda: told.append("kept"))
    assert told == ["before", "kept"]


async def test_a_task_that_outlives_the_transaction_it_began_in_has_its_own(
    database_url: str,
) -> None:
    async with connected(database_url) as database:
        over = asyncio.Event()

        async def later() -> None:
            await over.wait()
            await Accounts(database).open("c")

        async with database.transaction():
            task = asyncio.create_task(later())
        over.set()
        await task
        assert await Accounts(database).amount("c") == 0


async def test_what_a_row_holds_is_not_in_the_log(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assemble([add_logging])
    statement = text("INSERT INTO accounts VALUES ('canary', NULL)")
    async with connected(database_url) as database:
        with pytest.raises(IntegrityError) as failed:
            async with database.transaction() as session:
                await session.execute(statement)
    log.error("failed", exc_info=failed.value)
    logged = capsys.readouterr().out
    assert "null value in column" in logged
    assert "Failing row" not in logged


async def test_an_exhausted_pool_answers_soon_and_recovers(database_url: str) -> None:
    async with connected(database_url, pool_size=1, pool_overflow=0) as database:
        accounts = Accounts(database)
        async with database.engine.connect():
            with pytest.raises(Unavailable) as refused:
                await accounts.amount("a")
        assert refused.value.headers["Retry-After"] == "1"
        assert await accounts.amount("a") == 100


async def test_a_slow_statement_is_cut_off(database_url: str) -> None:
    async with connected(database_url, statement_timeout=0.1) as database:
        with pytest.raises(Unavailable):
            await Accounts(database).sleep(5)


async def test_what_the_address_sets_for_a_session_is_set(database_url: str) -> None:
    url = make_url(database_url).update_query_dict({"options": "-c geqo_seed=0.5"})
    own = url.render_as_string(hide_password=False)
    async with connected(own) as database, database.reading() as session:
        settings = "SELECT current_setting('geqo_seed'), current_setting('statement_timeout')"
        assert (await session.execute(text(settings))).one() == ("0.5", "5s")


async def test_a_unique_violation_is_a_conflict(database_url: str) -> None:
    async with connected(database_url) as database:
        with pytest.raises(Conflict):
            await Accounts(database).open("a")


def end_sessions(sql: Connection) -> None:
    """End every session of the pool, as a restart of the server does."""
    ended = sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'tests' AND datname = current_database()"
    )
    assert ended.rowcount


async def test_connections_that_ended_while_idle_cost_no_request(
    database_url: str, sql: Connection
) -> None:
    async with connected(database_url, pool_size=2) as database:
        accounts = Accounts(database)
        await asyncio.gather(accounts.amount("a"), accounts.amount("b"))
        end_sessions(sql)
        for _ in range(2):
            assert await asyncio.gather(accounts.amount("a"), accounts.amount("b")) == [100, 100]


async def test_a_connection_that_ends_in_use_costs_one_request(
    database_url: str, sql: Connection
) -> None:
    async def lose_it(database: Database) -> None:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
            end_sessions(sql)
            await session.execute(text("SELECT 1"))

    async with connected(database_url, pool_size=1) as database:
        with pytest.raises(Unavailable):
            await lose_it(database)
        assert await Accounts(database).amount("a") == 100


async def test_a_pool_in_use_to_the_last_connection_is_no_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": database_url, "POOL_SIZE": "1", "POOL_OVERFLOW": "0"}.items():
        monkeypatch.setenv(f"DATABASE_{name}", value)
    service = assemble([add_logging, add_health, add_database])
    async with service.running(), service.get(Database).transaction() as session:
        await session.execute(text("SELECT 1"))
        assert (await service.checks.readiness()).status == "ready"


def wait_until_gone(sql: Connection, pid: int) -> None:
    """Wait for the end of a session."""
    deadline = time.monotonic() + 10
    while sql.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_session_that_pauses_in_a_transaction_is_ended(
    database_url: str, sql: Connection
) -> None:
    async def pause(database: Database) -> None:
        async with database.transaction() as session:
            pid = (await session.scalars(text("SELECT pg_backend_pid()"))).one()
            await asyncio.to_thread(wait_until_gone, sql, pid)
            await session.execute(text("SELECT 1"))

    async with connected(database_url, idle_transaction_timeout=0.2) as database:
        with pytest.raises(Unavailable):
            await pause(database)


async def test_a_transaction_in_which_a_statement_failed_is_not_taken_for_committed(
    database_url: str,
) -> None:
    async with connected(database_url) as database:

        async def careless() -> None:
            async with database.transaction() as session:
                await session.execute(text("INSERT INTO accounts VALUES ('c', 0)"))
                with suppress(DBAPIError):
                    await session.execute(text("INSERT INTO nowhere VALUES (1)"))

        with pytest.raises(RuntimeError, match="a statement has failed"):
            await careless()
        async with database.reading() as session:
            assert (await session.scalar(text("SELECT count(*) FROM accounts"))) == 2


async def test_a_connection_that_has_become_read_only_is_replaced(database_url: str) -> None:
    async with connected(database_url, pool_size=1, pool_overflow=0) as database:
        async with database.transaction() as session:
            await session.execute(text("SET default_transaction_read_only = on"))
        with pytest.raises(Unavailable):
            await Accounts(database).open("c")
        await Accounts(database).open("c")
