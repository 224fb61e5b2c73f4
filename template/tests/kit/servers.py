"""Databases for tests: on the server behind `DATABASE_URL`, else on an embedded one."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from app.chassis.database import DatabaseSettings
from app.chassis.database.migrate import migrate
from app.dev.postgres import temporary_postgres

SCHEMA_FROM = "TEST_SCHEMA_FROM"
"""Variable that names the database whose schema is tested; unset: this release's own."""


@contextmanager
def postgres() -> Generator[str]:
    """Yield the URL of a server on which databases can be created."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
    else:
        with temporary_postgres() as url:
            yield url


@contextmanager
def database(server: str, template: str | None = None) -> Generator[str]:
    """Create a database of its own and drop it afterwards; yields its URL."""
    name = f"test_{uuid4().hex}"
    source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + source)
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


@contextmanager
def migrated_database(server: str) -> Generator[str]:
    """Create a database with this release's schema, or with a newer one (`SCHEMA_FROM`)."""
    with database(server, os.environ.get(SCHEMA_FROM)) as url:
        migrate(DatabaseSettings.model_validate({"url": url}))
        yield url
