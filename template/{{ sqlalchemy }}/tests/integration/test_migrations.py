"""Migrations lead up and down, match the models, and can be run by many at once."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from app.bootstrap import COMPONENTS
from app.chassis.database import DatabaseSettings, Model
from app.chassis.database import migrate as module
from app.chassis.database.migrate import LOCK, has_model, migrate, migration_engine
from tests.kit.processes import run_command, run_process
from tests.kit.servers import database
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[2]
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
def empty(postgres_url: str) -> Generator[str]:
    """A database without a schema."""
    with database(postgres_url) as url:
        yield url


def alembic(url: str, *arguments: str, root: Path = ROOT) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=root,
        env={"DATABASE_URL": url, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_way_up_can_be_gone_down_and_up_again(empty: str) -> None:
    migrate(DatabaseSettings.model_validate({"url": empty}))
    with psycopg.connect(empty, autocommit=True) as connection:
        tables = connection.execute(TABLES).fetchone()
        alembic(empty, "downgrade", "base")
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert versions == []
        alembic(empty, "upgrade", "heads")
        assert connection.execute(TABLES).fetchone() == tables


def test_the_schema_is_what_the_models_say(empty: str) -> None:
    assert COMPONENTS
    migrate(DatabaseSettings.model_validate({"url": empty}))
    engine = create_engine(make_url(empty).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        options = {"compare_server_default": True, "include_name": has_model}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, Model.metadata)
    engine.dispose()
    assert differences == []


def test_a_new_migration_is_the_applications_and_leaves_out_what_is_no_models(
    empty: str, tmp_path: Path
) -> None:
    for name in ("migrations", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "justfile"):
        shutil.copy(ROOT / name, tmp_path)
    for _ in range(2):
        migrate(DatabaseSettings.model_validate({"url": empty}))
    recipe = (tmp_path / "justfile").read_text().partition("\nmigration message:\n")[2]
    words = shlex.split(recipe.splitlines()[0].replace("$1", "add berths"))
    assert words[:3] == ["uv", "run", "alembic"]
    before = set((tmp_path / "migrations").rglob("*.py"))
    alembic(empty, *words[3:], root=tmp_path)
    (new,) = set((tmp_path / "migrations").rglob("*.py")) - before
    assert new.parent == tmp_path / "migrations/versions/app"
    assert re.fullmatch(r"app_[0-9a-f]+_add_berths\.py", new.name)
    assert "op." not in new.read_text().partition("def upgrade")[2], "the models are as before"


def test_many_may_migrate_at_once(empty: str, environment: dict[str, str]) -> None:
    settings = {**environment, "DATABASE_URL": empty}
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(run_command, "migrate", **settings) for _ in range(3)]
        assert [run.result().returncode for run in runs] == [0, 0, 0]


def test_a_held_lock_stops_a_migration_soon_and_it_can_be_run_again(
    empty: str, environment: dict[str, str]
) -> None:
    migrate(DatabaseSettings.model_validate({"url": empty}))
    alembic(empty, "downgrade", "base")
    settings = {**environment, "DATABASE_URL": empty, "DATABASE_MIGRATION_LOCK_TIMEOUT": "0.2"}
    with psycopg.connect(empty) as blocker:
        blocker.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        blocked = run_command("migrate", **settings)
    assert blocked.returncode == 1
    assert "lock timeout" in blocked.stdout
    assert run_command("migrate", **settings).returncode == 0


def test_a_migration_that_pauses_for_long_loses_its_locks(empty: str) -> None:
    values = {"url": empty, "idle_transaction_timeout": "0.2"}
    engine = migration_engine(DatabaseSettings.model_validate(values))
    with engine.connect() as paused, psycopg.connect(empty) as other:
        paused.execute(text("CREATE TABLE held (id bigint)"))
        time.sleep(0.5)
        other.execute("SET lock_timeout = '5s'")
        other.execute("CREATE TABLE held (id bigint)")
        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            paused.execute(text("SELECT 1"))
    engine.dispose()


def test_what_the_address_sets_for_a_session_is_set(empty: str) -> None:
    url = make_url(empty).update_query_dict({"options": "-c geqo_seed=0.5"})
    values = {"url": url.render_as_string(hide_password=False)}
    engine = migration_engine(DatabaseSettings.model_validate(values))
    with engine.connect() as connection:
        settings = "SELECT current_setting('geqo_seed'), current_setting('lock_timeout')"
        assert connection.execute(text(settings)).one() == ("0.5", "5s")
    engine.dispose()


def test_a_second_migration_waits_for_the_first(empty: str, environment: dict[str, str]) -> None:
    with psycopg.connect(empty) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with run_process("migrate", {**environment, "DATABASE_URL": empty}) as second:
            eventually(lambda: second.events("waiting_for_another_migration"))
            first.close()
            assert second.process.wait(30) == 0
            assert second.events("migrated")
            assert len(second.events("waiting_for_another_migration")) == 1


def test_the_branch_of_a_pattern_that_was_switched_off_is_left_alone(empty: str) -> None:
    settings = DatabaseSettings.model_validate({"url": empty})
    migrate(settings)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('retired_0001')")
        migrate(settings)
        aside = connection.execute("SELECT version_num FROM alembic_version_aside").fetchall()
        assert aside == [("retired_0001",)]
        migrate(settings)


def test_an_older_release_leaves_a_newer_schema_as_it_is_and_says_so(
    empty: str, environment: dict[str, str]
) -> None:
    migrate(DatabaseSettings.model_validate({"url": empty}))
    query = "SELECT version_num FROM alembic_version ORDER BY 1"
    with psycopg.connect(empty, autocommit=True) as connection:
        head = own_head()
        connection.execute(
            "UPDATE alembic_version SET version_num = 'app_9999' WHERE version_num = %s", [head]
        )
        before = connection.execute(query).fetchall()
        done = run_command("migrate", **{**environment, "DATABASE_URL": empty})
        assert done.returncode == 0
        assert f'"revisions": ["app_9999"], "taken_for_applied": ["{head}"]' in done.stdout
        assert connection.execute(query).fetchall() == before


BERTHS = """
from alembic import op
revision, down_revision = "{name}", {parent}
branch_labels, depends_on = {labels}, "{needed}"
def upgrade() -> None: op.execute("CREATE TABLE {name} (id bigint)")
def downgrade() -> None: op.execute("DROP TABLE {name}")
"""
AddMigration = Callable[[str, str | None], None]


@pytest.fixture
def add_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddMigration:
    """Gives this release another branch, whose migrations make a table of their name each."""
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    monkeypatch.setattr(module, "LOCATION", tmp_path / "migrations")

    def add(name: str, parent: str | None) -> None:
        labels = None if parent else ("berths",)
        code = BERTHS.format(name=name, parent=repr(parent), labels=labels, needed=own_head())
        (tmp_path / "migrations" / "versions" / f"{name}.py").write_text(code)

    return add


def own_head() -> str:
    """The last of the migrations that belong to no pattern: a service has more of them in time."""
    script = ScriptDirectory(str(ROOT / "migrations"), recursive_version_locations=True)
    return next(head for head in script.get_heads() if head.startswith("app_"))


def versions(
    connection: psycopg.Connection[tuple[str]], table: LiteralString = "alembic_version"
) -> set[str]:
    found = connection.execute(f"SELECT version_num FROM {table}").fetchall()
    return {version for (version,) in found}


def test_an_older_release_migrates_the_branches_that_no_newer_one_has(
    empty: str, add_migration: AddMigration
) -> None:
    settings = DatabaseSettings.model_validate({"url": empty})
    migrate(settings)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("DELETE FROM alembic_version WHERE version_num = %s", [own_head()])
        connection.execute("INSERT INTO alembic_version VALUES ('app_9999')")
        before = versions(connection)
        add_migration("berths_0001", None)
        migrate(settings)
        assert versions(connection) == before | {"berths_0001"}
        connection.execute("SELECT FROM berths_0001")


def test_a_branch_that_a_newer_release_has_left_is_newer_still_when_it_is_back(
    empty: str, add_migration: AddMigration
) -> None:
    settings = DatabaseSettings.model_validate({"url": empty})
    migrate(settings)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("INSERT INTO alembic_version_aside VALUES ('berths_0002')")
        before = versions(connection)
        add_migration("berths_0001", None)
        migrate(settings)
        assert versions(connection) == before - {own_head()} | {"berths_0002"}
        assert own_head() in versions(connection, "alembic_version_implied")
        assert connection.execute("SELECT to_regclass('berths_0001')").fetchone() == (None,)


def test_an_interrupted_migration_of_an_older_release_loses_no_newer_version(
    empty: str, add_migration: AddMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise SystemExit

    settings = DatabaseSettings.model_validate({"url": empty})
    add_migration("berths_0001", None)
    add_migration("berths_0002", "berths_0001")
    migrate(settings)
    with psycopg.connect(empty, autocommit=True) as connection:
        before = versions(connection)
        assert "berths_0002" in before
        (module.LOCATION / "versions" / "berths_0002.py").unlink()
        with monkeypatch.context() as patch:
            patch.setattr("alembic.command.upgrade", interrupt)
            with pytest.raises(SystemExit):
                migrate(settings)
        migrate(settings)
        assert versions(connection) == before
        add_migration("berths_0002", "berths_0001")
        migrate(settings)
        assert versions(connection) == before


def test_the_sql_of_every_migration_is_safe() -> None:
    statements = alembic("postgresql://nobody@localhost/nothing", "upgrade", "heads", "--sql")
    timeouts, _, _ = statements.partition("BEGIN;")
    # One at a time: an index made concurrently hides from squawk which others run in transactions.
    first, *others = re.split(r"^(?=BEGIN;\n+-- Running upgrade)", statements, flags=re.MULTILINE)
    for migration in (first, *(timeouts + other for other in others)):
        result = subprocess.run(
            [Path(sys.executable).parent / "squawk", "--stdin-filepath", "migrations.sql"],
            input=migration,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
