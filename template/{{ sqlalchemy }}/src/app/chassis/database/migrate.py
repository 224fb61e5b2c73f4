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
from alembic.util import to_tuple
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from app import about
from app.chassis.database.connection import KEEPALIVE, PatientSyncConnection
from app.chassis.database.engine import DatabaseSettings

LOCATION = Path(__file__).parents[4] / "migrations"
LOCK = crc32(f"{about.SLUG}:migrations".encode())
LOCK_POLL_SECONDS = 0.2
VERSIONS = "alembic_version"
ASIDE, IMPLIED = f"{VERSIONS}_aside", f"{VERSIONS}_implied"

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
                with engine.begin() as another:
                    _keep_implied(another, script)
    finally:
        engine.dispose()
    log.info("migrated")


def has_model(name: str | None, type_: str, _parents: object) -> bool:
    """Leave out what Alembic and this module keep for themselves: a filter for autogenerate."""
    return type_ != "table" or not str(name).startswith(VERSIONS)


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
        if not inspect(connection).has_table(VERSIONS):
            return False
        applied = _applied(connection)
        newer = {each for each in applied - known if _branch(each) in branches}
        if newer:
            log.warning("schema_is_newer_than_this_release", revisions=sorted(newer))
            return True
        _move(connection, ASIDE, VERSIONS, known)
        if applied - known:
            _move(connection, VERSIONS, ASIDE, applied - known)
            _move(connection, IMPLIED, VERSIONS, known)
        connection.execute(
            text("DELETE FROM alembic_version WHERE version_num = ANY(:implied)"),
            {"implied": sorted(_implied(script, _applied(connection)))},
        )
        return False


def _keep_implied(connection: Connection, script: ScriptDirectory) -> None:
    """Write down which branches are applied that Alembic says nothing about.

    It leaves out what another branch depends on. Were that one's pattern switched off, nothing
    would tell that its dependency is there already.
    """
    applied = _applied(connection)
    branches, implied = set(map(_branch, applied)), _implied(script, applied)
    heads = implied - {before for each in implied for before in _before(script, each)}
    kept = [head for head in heads if _branch(head) not in branches]
    _have_table(connection, IMPLIED)
    connection.execute(text(f"DELETE FROM {IMPLIED}"))  # noqa: S608 - a constant
    if kept:
        insert = text(f"INSERT INTO {IMPLIED} VALUES (:head)")  # noqa: S608 - a constant
        connection.execute(insert, [{"head": head} for head in sorted(kept)])


def _applied(connection: Connection) -> set[str]:
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _implied(script: ScriptDirectory, revisions: set[str]) -> set[str]:
    """All that was applied before `revisions`, also in other branches."""
    found: set[str] = set()
    pending = list(revisions)
    while pending:
        before = _before(script, pending.pop()) - found
        found |= before
        pending.extend(before)
    return found


def _before(script: ScriptDirectory, revision: str) -> set[str]:
    found = script.get_revision(revision)
    assert found is not None
    return {*to_tuple(found.down_revision, ()), *to_tuple(found.dependencies, ())}


def _move(connection: Connection, source: str, target: str, revisions: set[str]) -> None:
    for table in (source, target):
        _have_table(connection, table)
    moved = text(
        f"WITH moved AS (DELETE FROM {source} WHERE version_num = ANY(:revisions)"  # noqa: S608 - constants
        f" RETURNING version_num) INSERT INTO {target}"
        " SELECT version_num FROM moved ON CONFLICT DO NOTHING"
    )
    connection.execute(moved, {"revisions": sorted(revisions)})


def _have_table(connection: Connection, name: str) -> None:
    columns = "(version_num VARCHAR(32) PRIMARY KEY)"
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {name} {columns}"))


def _branch(revision: str) -> str:
    """The branch is part of a revision's name: `app_0001`."""
    return revision.partition("_")[0]
