"""The steps of docs/migrations.md, as they stand there, with rows and writers in the table."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Event

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from app.chassis.database import DatabaseSettings
from app.chassis.database.migrate import migrate, migration_engine
from tests.kit.servers import database

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STEPS = BLOCK.findall((ROOT / "docs" / "migrations.md").read_text())
EXPAND, FILL, CONTRACT, NOT_NULL, CONSTRAIN, VALIDATE, INDEX = range(7)
MIGRATION = """
import sqlalchemy as sa
from alembic import op
from app.chassis.database import operations
revision, down_revision, branch_labels, depends_on = "{name}", "{parent}", None, None
{code}
def downgrade() -> None: ...
"""
TABLES = """
CREATE TABLE depots (id bigint PRIMARY KEY);
CREATE TABLE parcels (id bigserial PRIMARY KEY, depot_id bigint, weight bigint NOT NULL)
    WITH (autovacuum_enabled = off);
INSERT INTO depots VALUES (1);
INSERT INTO parcels (depot_id, weight) SELECT 1, n FROM generate_series(1, 30000) n;
"""


@dataclass
class Changes:
    """A database, and migrations that are made of the documented steps."""

    url: str
    migrations: Path
    names: list[str] = field(default_factory=lambda: ["app_0001"])

    def add(self, step: int, adapt: Callable[[str], str] = str) -> None:
        """Make a migration of a step."""
        name = f"app_step_{len(self.names)}"
        code = MIGRATION.format(name=name, parent=self.names[-1], code=adapt(STEPS[step]))
        (self.migrations / "versions" / "app" / f"{name}.py").write_text(code)
        self.names.append(name)

    def run(self) -> None:
        """Apply what has been added."""
        engine = migration_engine(
            DatabaseSettings.model_validate({"url": self.url, "migration_lock_timeout": "0.5"})
        )
        try:
            with engine.connect() as connection:
                command.upgrade(self._config(connection=connection), "heads")
        finally:
            engine.dispose()

    def apply(self, step: int) -> None:
        """Make a migration of a step and apply it; its SQL passes squawk."""
        self.add(step)
        printed = StringIO()
        config = self._config()
        config.output_buffer = printed
        command.upgrade(config, ":".join(self.names[-2:]), sql=True)
        assert_safe(printed.getvalue())
        self.run()

    def _config(self, **attributes: object) -> Config:
        config = Config(attributes=attributes)
        config.set_main_option("script_location", str(self.migrations))
        config.set_main_option("recursive_version_locations", "true")
        return config


def assert_safe(statements: str) -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "squawk", "--stdin-filepath", "migration.sql"],
        input=statements,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def changes(postgres_url: str, tmp_path: Path) -> Generator[Changes]:
    """A migrated database with 30,000 parcels."""
    with database(postgres_url) as url:
        migrate(DatabaseSettings.model_validate({"url": url}))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES.encode())
        shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
        yield Changes(url, tmp_path / "migrations")


@contextmanager
def writing(url: str, *columns: str) -> Generator[None]:
    """Releases that know only one of the columns keep writing and reading; none of them fails."""
    stop = Event()

    def write(column: str) -> None:
        with psycopg.connect(url, autocommit=True, options="-c lock_timeout=2s") as connection:
            while True:
                insert = f"INSERT INTO parcels (depot_id, {column}) VALUES (1, 5) RETURNING id"
                (key,) = connection.execute(insert.encode()).fetchone() or (0,)
                update = f"UPDATE parcels SET {column} = 7 WHERE id IN (%s, 1 + %s %% 30000)"
                connection.execute(update.encode(), (key, key))
                read = f"SELECT {column} FROM parcels WHERE id = %s"
                assert connection.execute(read.encode(), (key,)).fetchone() == (7,)
                if stop.is_set():
                    return

    with ThreadPoolExecutor(len(columns)) as pool:
        writers = [pool.submit(write, column) for column in columns]
        try:
            yield
        finally:
            stop.set()
        for writer in writers:
            writer.result()


def test_a_column_is_renamed_while_old_and_new_code_write(changes: Changes) -> None:
    differing = "SELECT count(*) FROM parcels WHERE weight IS DISTINCT FROM grams"
    with writing(changes.url, "weight"):
        changes.apply(EXPAND)
    with psycopg.connect(changes.url, autocommit=True) as connection:
        with writing(changes.url, "weight", "grams"):
            changes.apply(FILL)
            assert connection.execute(differing).fetchone() == (0,)
            changes.apply(NOT_NULL)
        assert connection.execute(differing).fetchone() == (0,)
    with writing(changes.url, "grams"):
        changes.apply(CONTRACT)


def test_a_new_column_that_would_win_over_what_old_code_writes_is_refused(changes: Changes) -> None:
    with_default = "BigInteger(), server_default='0'"
    changes.add(EXPAND, lambda step: step.replace("BigInteger()", with_default))
    with pytest.raises(ValueError, match=r"parcels\.grams has a default"):
        changes.run()


def test_a_default_of_the_old_column_serves_both_releases(changes: Changes) -> None:
    changes.apply(EXPAND)
    with psycopg.connect(changes.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE parcels ALTER COLUMN weight SET DEFAULT 3")
        for columns, written in (("weight", 5), ("grams", 5), ("depot_id", 3)):
            insert = f"INSERT INTO parcels ({columns}) VALUES (5) RETURNING weight, grams"
            assert connection.execute(insert.encode()).fetchone() == (written, written)


PARTITIONED = """
DROP TABLE parcels;
CREATE TABLE parcels (id bigint NOT NULL, depot_id bigint, weight bigint NOT NULL)
    PARTITION BY RANGE (id);
CREATE TABLE "Few parcels" PARTITION OF parcels FOR VALUES FROM (0) TO (100);
CREATE TABLE "Many parcels" PARTITION OF parcels FOR VALUES FROM (100) TO (50000);
INSERT INTO parcels SELECT n, 1, n FROM generate_series(0, 49999) n;
"""
INHERITED = """
CREATE TABLE more_parcels () INHERITS (parcels);
INSERT INTO more_parcels SELECT * FROM parcels;
TRUNCATE ONLY parcels;
"""


@pytest.mark.parametrize("tables", [PARTITIONED, INHERITED])
def test_a_table_of_several_parts_is_filled_to_its_end(changes: Changes, tables: str) -> None:
    with psycopg.connect(changes.url, autocommit=True) as connection:
        connection.execute(tables.encode())
        changes.apply(EXPAND)
        changes.add(FILL, lambda step: step.replace("grams IS NULL", "parcels.grams IS NULL"))
        changes.run()
        left = "SELECT count(*) FROM parcels WHERE weight IS DISTINCT FROM grams"
        assert connection.execute(left.encode()).fetchone() == (0,)


def test_constraints_and_indexes_are_added_while_others_write(changes: Changes) -> None:
    changes.apply(EXPAND)
    changes.apply(FILL)
    with writing(changes.url, "weight", "grams"):
        for step in (CONSTRAIN, VALIDATE, INDEX):
            changes.apply(step)
    query = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'parcels'::regclass"
    with psycopg.connect(changes.url) as connection:
        found = connection.execute(f"{query} AND contype IN ('c', 'f') AND convalidated".encode())
        assert found.fetchone() == (2,)


def test_a_column_with_gaps_is_not_made_not_null_until_they_are_filled(changes: Changes) -> None:
    changes.apply(EXPAND)
    changes.add(NOT_NULL)
    with pytest.raises(DBAPIError, match="is violated by some row"):
        changes.run()
    with psycopg.connect(changes.url, autocommit=True) as connection:
        connection.execute("UPDATE parcels SET grams = weight")
    changes.run()


def test_an_invalid_index_that_was_left_behind_is_made_anew(changes: Changes) -> None:
    changes.add(INDEX)
    with psycopg.connect(changes.url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '500ms'")
        with psycopg.connect(changes.url) as writer:
            writer.execute("UPDATE parcels SET weight = 1 WHERE id = 1")
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(
                    "CREATE INDEX CONCURRENTLY ix_parcels_depot_id ON parcels (depot_id)"
                )
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_parcels_depot_id'::regclass"
        assert connection.execute(valid).fetchone() == (False,)
        changes.run()
        assert connection.execute(valid).fetchone() == (True,)


def test_a_held_lock_stops_a_migration_and_not_the_traffic(changes: Changes) -> None:
    changes.add(EXPAND)
    with psycopg.connect(changes.url) as reader:
        reader.execute("SELECT 1 FROM parcels LIMIT 1")
        with writing(changes.url, "weight"), pytest.raises(DBAPIError, match="lock timeout"):
            changes.run()
    with writing(changes.url, "weight"):
        changes.run()
