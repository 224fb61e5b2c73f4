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
from app.chassis.database.connection import KEEPALIVE, PatientSyncConnection, options_of
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
    lock with the service's traffic behind it; run it again then. A branch that a newer release has
    migrated stays as it is.
    """
    engine = migration_engine(settings)
    try:
        with engine.connect() as connection, _only_one(engine):
            script = ScriptDirectory.from_config(_config(connection))
            newer = _set_aside_unknown(connection, script)
            command.upgrade(_config(connection), "heads")
            with engine.begin() as another:
                _have_tables(another)
                _keep_implied(another, script)
                _remove(another, _stand_ins(script, newer))
                _move(another, ASIDE, VERSIONS, newer)
    finally:
        engine.dispose()
    log.info("migrated")


def has_model(name: str | None, type_: str, _parents: object) -> bool:
    """Leave out what Alembic and this module keep for themselves: a filter for autogenerate."""
    return type_ != "table" or not str(name).startswith(VERSIONS)


def migration_engine(settings: DatabaseSettings) -> Engine:
    """An engine for schema changes, with their own timeouts."""
    session = {
        "lock_timeout": settings.migration_lock_timeout,
        "statement_timeout": settings.migration_statement_timeout,
        "idle_in_transaction_session_timeout": settings.idle_transaction_timeout,
    }
    engine = create_engine(
        settings.sqlalchemy_migration_url,
        hide_parameters=True,
        connect_args={
            "options": options_of(settings.sqlalchemy_migration_url, session),
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


def _set_aside_unknown(connection: Connection, script: ScriptDirectory) -> set[str]:
    """Make the version table readable to this release; return what a newer one has applied.

    A pattern that was switched off leaves its tables, and its branch's version is kept aside until
    the pattern returns. A version of a known branch that this release does not know comes from a
    newer release: after a rollback its schema stays, and while the other branches are migrated all
    that this release knows of that one counts as applied.
    """
    known = {revision.revision for revision in script.walk_revisions()}
    branches = {_branch(revision) for revision in known}
    with connection.begin():
        if not inspect(connection).has_table(VERSIONS):
            return set()
        _have_tables(connection)
        _move(connection, ASIDE, VERSIONS, known)
        if unknown := _versions(connection, VERSIONS) - known:
            _move(connection, VERSIONS, ASIDE, unknown)
            _move(connection, IMPLIED, VERSIONS, known)
            _move(connection, IMPLIED, ASIDE, _versions(connection, IMPLIED))
        newer = {each for each in _versions(connection, ASIDE) if _branch(each) in branches}
        if newer:
            stand_ins = _stand_ins(script, newer)
            log.warning(
                "schema_is_newer_than_this_release",
                revisions=sorted(newer),
                taken_for_applied=sorted(stand_ins),
            )
            _insert(connection, VERSIONS, stand_ins)
        _remove(connection, _implied(script, _versions(connection, VERSIONS)))
        return newer


def _stand_ins(script: ScriptDirectory, newer: set[str]) -> set[str]:
    """The last revisions that this release knows of the branches that are newer."""
    branches = set(map(_branch, newer))
    return {head for head in script.get_heads() if _branch(head) in branches}


def _keep_implied(connection: Connection, script: ScriptDirectory) -> None:
    """Write down which branches are applied that Alembic says nothing about.

    It leaves out what another branch depends on. Were that one's pattern switched off, nothing
    would tell that its dependency is there already.
    """
    applied = _versions(connection, VERSIONS)
    branches, implied = set(map(_branch, applied)), _implied(script, applied)
    heads = implied - {before for each in implied for before in _before(script, each)}
    connection.execute(text(f"DELETE FROM {IMPLIED}"))  # noqa: S608 - a constant
    _insert(connection, IMPLIED, {head for head in heads if _branch(head) not in branches})


def _versions(connection: Connection, table: str) -> set[str]:
    return set(connection.scalars(text(f"SELECT version_num FROM {table}")))  # noqa: S608 - a constant


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
    moved = text(
        f"WITH moved AS (DELETE FROM {source} WHERE version_num = ANY(:revisions)"  # noqa: S608 - constants
        f" RETURNING version_num) INSERT INTO {target}"
        " SELECT version_num FROM moved ON CONFLICT DO NOTHING"
    )
    connection.execute(moved, {"revisions": sorted(revisions)})


def _insert(connection: Connection, table: str, revisions: set[str]) -> None:
    insert = text(
        f"INSERT INTO {table} SELECT unnest(CAST(:revisions AS text[])) ON CONFLICT DO NOTHING"
    )
    connection.execute(insert, {"revisions": sorted(revisions)})


def _remove(connection: Connection, revisions: set[str]) -> None:
    delete = text(f"DELETE FROM {VERSIONS} WHERE version_num = ANY(:revisions)")  # noqa: S608 - a constant
    connection.execute(delete, {"revisions": sorted(revisions)})


def _have_tables(connection: Connection) -> None:
    columns = "(version_num VARCHAR(32) PRIMARY KEY)"
    for name in (ASIDE, IMPLIED):
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {name} {columns}"))


def _branch(revision: str) -> str:
    """The branch is part of a revision's name: `app_0001`."""
    return revision.partition("_")[0]
