"""`migrate`: brings the schema to this release, once, however many run it at the same time."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from app import about
from app.chassis.database.connection import KEEPALIVE, PatientSyncConnection
from app.chassis.database.engine import DatabaseSettings

LOCATION = Path(__file__).parents[4] / "migrations"
LOCK = crc32(f"{about.SLUG}:migrations".encode())
LOCK_POLL_SECONDS = 0.2
VERSIONS_ASIDE = "alembic_version_aside"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def migrate(settings: DatabaseSettings) -> None:
    """Apply every branch's migrations.

    Each statement gives up after `DATABASE_MIGRATION_LOCK_TIMEOUT` rather than queue up behind a
    lock with the service's traffic behind it; run it again then.
    """
    engine = migration_engine(settings)
    try:
        with engine.connect() as connection, _only_one(engine):
            script = ScriptDirectory.from_config(_config(connection))
            if not _set_aside_unknown(connection, script):
                command.upgrade(_config(connection), "heads")
    finally:
        engine.dispose()
    log.info("migrated")


def migration_engine(settings: DatabaseSettings) -> Engine:
    """An engine for schema changes, with their own timeouts."""
    timeouts = {
        "lock_timeout": settings.migration_lock_timeout,
        "statement_timeout": settings.migration_statement_timeout,
        "idle_in_transaction_session_timeout": settings.idle_transaction_timeout,
    }
    options = [f"-c {name}={int(value.total_seconds() * 1000)}" for name, value in timeouts.items()]
    engine = create_engine(
        settings.sqlalchemy_migration_url,
        hide_parameters=True,
        connect_args={
            "options": " ".join(options),
            "connect_timeout": max(1, round(settings.connect_timeout.total_seconds())),
            **KEEPALIVE,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> PatientSyncConnection:
        return PatientSyncConnection.opened(settings.migration_patience, *arguments, **options)

    return engine


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(LOCATION))
    config.set_main_option("recursive_version_locations", "true")
    return config


@contextmanager
def _only_one(engine: Engine) -> Generator[None]:
    """Hold the migration lock; it is polled for, as a waiting statement holds up `CONCURRENTLY`."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        query = text("SELECT pg_try_advisory_lock(:lock)").bindparams(lock=LOCK)
        waiting = False
        while not connection.scalar(query):
            if not waiting:
                log.info("waiting_for_another_migration")
            waiting = True
            time.sleep(LOCK_POLL_SECONDS)
        yield


def _set_aside_unknown(connection: Connection, script: ScriptDirectory) -> bool:
    """Make the version table readable to this release; return whether the schema is newer than it.

    A pattern that was switched off leaves its tables, and its branch's version is kept aside until
    the pattern returns. A version of a known branch that this release does not know comes from a
    newer release: after a rollback its schema stays.
    """
    known = {revision.revision for revision in script.walk_revisions()}
    branches = {_branch(revision) for revision in known}
    with connection.begin():
        if not inspect(connection).has_table("alembic_version"):
            return False
        _move(connection, VERSIONS_ASIDE, "alembic_version", known)
        applied = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
        unknown = applied - known
        newer = {revision for revision in unknown if _branch(revision) in branches}
        if newer:
            log.warning("schema_is_newer_than_this_release", revisions=sorted(newer))
        else:
            _move(connection, "alembic_version", VERSIONS_ASIDE, unknown)
        return bool(newer)


def _move(connection: Connection, source: str, target: str, revisions: set[str]) -> None:
    for table in (source, target):
        connection.execute(
            text(f"CREATE TABLE IF NOT EXISTS {table} (version_num VARCHAR(32) PRIMARY KEY)")
        )
    moved = text(
        f"WITH moved AS (DELETE FROM {source} WHERE version_num = ANY(:revisions)"  # noqa: S608 - constants
        f" RETURNING version_num) INSERT INTO {target} SELECT version_num FROM moved"
    )
    connection.execute(moved, {"revisions": sorted(revisions)})


def _branch(revision: str) -> str:
    """The branch is part of a revision's name: `app_0001`."""
    return revision.partition("_")[0]
