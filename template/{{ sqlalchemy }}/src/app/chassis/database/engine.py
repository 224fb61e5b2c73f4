"""The connection pool, and the sessions that use cases work in."""

import functools
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from pydantic import Field, PostgresDsn, SecretStr, TypeAdapter, field_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from app.chassis.database.connection import (
    KEEPALIVE,
    PatientConnection,
    arguments_of,
    options_of,
    replace_ended,
)
from app.chassis.database.failures import commit, take_for_lost, translated
from app.chassis.health import Check
from app.chassis.service import Service
from app.chassis.settings import SHORT, Duration, Settings

AfterCommit = Callable[[], Awaitable[None] | None]

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
LEVELS: tuple[Isolation, ...] = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
"""What transactions promise of each other, the least first."""

Limit = Annotated[Duration, Field(ge=timedelta(milliseconds=1)), SHORT]
"""A limit that PostgreSQL counts in milliseconds: 0 would be none at all."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class DatabaseSettings(Settings):
    """Where the database is, and how many connections for how long."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: SecretStr
    migration_url: SecretStr | None = None
    pool_size: int = Field(default=10, ge=1, le=200)
    pool_overflow: int = Field(default=5, ge=0, le=200)
    pool_timeout: Duration = timedelta(seconds=2)
    pool_recycle: Duration = timedelta(hours=1)
    connect_timeout: Duration = timedelta(seconds=2)
    statement_timeout: Limit = timedelta(seconds=5)
    lock_timeout: Limit = timedelta(seconds=2)
    idle_transaction_timeout: Limit = timedelta(seconds=10)
    transaction_attempts: int = Field(default=3, ge=1, le=10)
    migration_lock_timeout: Limit = timedelta(seconds=5)
    migration_statement_timeout: Limit = timedelta(minutes=10)

    @field_validator("url", "migration_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            if url is not None:
                TypeAdapter(PostgresDsn).validate_python(url.get_secret_value())
                # What one reader of addresses takes another may not, and would quote it.
                make_conninfo(**arguments_of(_with_driver(url)))
        except (ValueError, ArgumentError, psycopg.Error):
            example = "postgresql://user:password@host:5432/name"
            raise ValueError(f"must be like {example}, @ and : in a password escaped") from None
        return url

    @property
    def sqlalchemy_url(self) -> URL:
        """The same address, with the driver that the service uses."""
        return _with_driver(self.url)

    @property
    def sqlalchemy_migration_url(self) -> URL:
        """The address that migrations use: they may have a role of their own, which owns tables."""
        return _with_driver(self.migration_url or self.url)

    @property
    def patience(self) -> timedelta:
        """How long to wait for an answer: the server has to give up first, and to say so."""
        return self.statement_timeout + self.connect_timeout

    @property
    def migration_patience(self) -> timedelta:
        """The same for a migration."""
        return self.migration_statement_timeout + self.connect_timeout


def _with_driver(url: SecretStr) -> URL:
    return make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")


@dataclass
class UnitOfWork:
    """One session, and what to do once it has committed."""

    session: AsyncSession
    writes: bool
    isolation: Isolation = LEVELS[0]
    over: bool = False
    after_commit: list[AfterCommit] = field(default_factory=list[AfterCommit])


class Database:
    """The pool of connections, and the unit of work that the running task is in.

    Whoever is called inside `transaction()` joins it: there is one transaction per request.
    """

    def __init__(self, engine: AsyncEngine, attempts: int) -> None:
        self.engine = engine
        self.attempts = attempts
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._current: ContextVar[UnitOfWork | None] = ContextVar("unit_of_work", default=None)

    @property
    def in_transaction(self) -> bool:
        """Whether the running task is in a transaction that it may write in."""
        work = self._joinable
        return work is not None and work.writes

    @property
    def session(self) -> AsyncSession:
        """The session of the unit of work that the running task is in.

        Raises:
            RuntimeError: it is in none.
        """
        return self._work.session

    def after_commit(self, callback: AfterCommit) -> None:
        """Call `callback` once the transaction has committed, and never if it does not.

        What it raises is logged: nothing undoes the commit, and the request has succeeded.
        """
        self._work.after_commit.append(callback)

    @property
    def _work(self) -> UnitOfWork:
        work = self._joinable
        if work is None:
            raise RuntimeError("not in a unit of work: decorate the use case with @transactional")
        return work

    @property
    def _joinable(self) -> UnitOfWork | None:
        """The unit of work of the running task; what a task was started in may be over by now."""
        work = self._current.get()
        return None if work is None or work.over else work

    @asynccontextmanager
    async def transaction(self, isolation: Isolation | None = None) -> AsyncGenerator[AsyncSession]:
        """Commit what the block does, or nothing of it; a block inside joins the outer one.

        Raises:
            Unavailable: the database or a free connection could not be reached.
            Conflict: a unique or foreign key was violated.
            RuntimeError: it would join a transaction that promises less than `isolation`.
        """
        work = self._joinable
        if work is not None and work.writes:
            if isolation and LEVELS.index(isolation) > LEVELS.index(work.isolation):
                raise RuntimeError(f"a {isolation} transaction cannot join a {work.isolation} one")
            yield work.session
            return
        engine = (
            self.engine.execution_options(isolation_level=isolation) if isolation else self.engine
        )
        async with self._unit_of_work(engine, writes=True) as work:
            work.isolation = isolation or work.isolation
            yield work.session
            await work.session.run_sync(commit)
        for callback in work.after_commit:
            await _call(callback)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Undo what the block did if it raises, and go on with the rest of the transaction."""
        callbacks = self._work.after_commit
        before = len(callbacks)
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del callbacks[before:]
            raise

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """Read outside a transaction: each statement is one round trip and sees what is committed.

        Inside a transaction it reads what that transaction sees.
        """
        if (work := self._joinable) is not None:
            yield work.session
            return
        async with self._unit_of_work(self._reading, writes=False) as work:
            yield work.session

    @asynccontextmanager
    async def _unit_of_work(
        self, engine: AsyncEngine, *, writes: bool
    ) -> AsyncGenerator[UnitOfWork]:
        with translated():
            async with AsyncSession(engine, expire_on_commit=False, autoflush=False) as session:
                work = UnitOfWork(session, writes)
                token = self._current.set(work)
                try:
                    yield work
                finally:
                    work.over = True
                    self._current.reset(token)

    async def ping(self) -> None:
        """Raise unless the database answers."""
        await _ask(self.engine)


async def _call(callback: AfterCommit) -> None:
    try:
        if (pending := callback()) is not None:
            await pending
    except Exception:
        log.exception("after_commit_failed")


async def _ask(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


def add_database(service: Service) -> None:
    """Provide `Database`; it connects on first use, so the service starts without one."""
    settings = service.load(DatabaseSettings)
    engine = create_engine(settings, service.core.service_name)
    database = Database(engine, settings.transaction_attempts)
    service.provide(database)
    service.checks.add("database", _check(engine, settings, service.core.service_name), hard=True)

    @asynccontextmanager
    async def disposed_at_the_end() -> AsyncGenerator[None]:
        yield
        await engine.dispose()

    service.add_lifespan(disposed_at_the_end)


def _check(engine: AsyncEngine, settings: DatabaseSettings, application_name: str) -> Check:
    """Whether the database answers.

    A pool whose connections are all in use does not say, so it is asked on one more then.
    """
    pool = cast("QueuePool", engine.pool)
    beside = create_async_engine(
        settings.sqlalchemy_url,
        poolclass=NullPool,
        connect_args=_connect_args(settings, application_name),
    )

    async def ping() -> None:
        is_full = pool.checkedout() >= settings.pool_size + settings.pool_overflow
        await _ask(beside if is_full else engine)

    return ping


def create_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Create the pool; every wait on it and on the server is bounded."""
    engine = create_async_engine(
        settings.sqlalchemy_url,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout.total_seconds(),
        pool_recycle=math.ceil(settings.pool_recycle.total_seconds()),
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args=_connect_args(settings, application_name),
    )
    event.listen(engine.sync_engine.pool, "checkout", replace_ended)
    event.listen(engine.sync_engine, "handle_error", take_for_lost)
    return engine


def _connect_args(settings: DatabaseSettings, application_name: str) -> dict[str, Any]:
    session = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": settings.idle_transaction_timeout,
        "timezone": "UTC",
    }
    return {
        "application_name": application_name,
        "connect_timeout": max(1, round(settings.connect_timeout.total_seconds())),
        "options": options_of(settings.sqlalchemy_url, session),
        "async_creator_fn": functools.partial(PatientConnection.opened, settings.patience),
        **KEEPALIVE,
    }
