"""The service works with the role of docs/migrations.md, which may not change the schema."""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
import pytest
from sqlalchemy import make_url

from tests.conftest import StartService
from tests.kit.processes import run_command
from tests.kit.servers import database

PAGE = Path(__file__).parents[2] / "docs" / "migrations.md"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass
class Roles:
    """The addresses of both roles."""

    migrator: str
    server: str


@pytest.fixture
def roles(postgres_url: str) -> Generator[Roles]:
    """A database without a schema, with the documented roles under names of this run."""
    suffix = uuid4().hex
    found = re.search(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    snippet = re.sub(r"\b(migrator|server)\b", rf"\1_{suffix}", found[1])
    names = [f"migrator_{suffix}", f"server_{suffix}"]
    passwords = re.findall(r"PASSWORD '(.*)'", snippet)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        with database(postgres_url) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(snippet.encode())
            yield Roles(
                *(
                    make_url(url)
                    .set(username=name, password=password)
                    .render_as_string(hide_password=False)
                    for name, password in zip(names, passwords, strict=True)
                )
            )
        owner.execute(f"DROP ROLE {', '.join(names)}".encode())


def test_the_service_works_with_a_role_that_cannot_change_the_schema(
    roles: Roles, environment: dict[str, str], start_service: StartService
) -> None:
    settings = {"DATABASE_URL": roles.server, "DATABASE_MIGRATION_URL": roles.migrator}
    done = run_command("migrate", **{**environment, **settings})
    assert done.returncode == 0, done.stderr
    with start_service(DATABASE_URL=roles.server) as server:
        assert httpx2.get(f"{server.url}/health/ready").status_code == 200
    with psycopg.connect(roles.server, autocommit=True) as connection:
        query = """
            SELECT oid::regclass::text, pg_get_userbyid(relowner) <> current_user,
                ARRAY(SELECT has_table_privilege(oid, p) FROM unnest(%s::text[]) p)
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        """
        tables = connection.execute(query, [list(PRIVILEGES)]).fetchall()
        assert tables
        assert all(foreign and all(privileges) for _, foreign, privileges in tables)
        for statement in (
            "CREATE TABLE mine (id int)",
            f"ALTER TABLE {tables[0][0]} ADD COLUMN mine int",
            f"DROP TABLE {tables[0][0]}",
            f"TRUNCATE {tables[0][0]}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
