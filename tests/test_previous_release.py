"""The release before keeps working on a newer schema, and its recipe notices when it would not."""

import subprocess
from pathlib import Path

import pytest
from slipway.catalogue import REPOSITORY
from slipway.verify import environment

from tests.projects import born, commit, git, publish

pytestmark = pytest.mark.executed

MIGRATION = '''"""A change of the second release."""

import sqlalchemy as sa
from alembic import op

from app.chassis.database import operations

revision = "app_0002"
down_revision = "app_0001"
branch_labels = None
depends_on = "example_0001"


def upgrade() -> None:
    """Change the customers."""
    {change}


def downgrade() -> None:
    """Not needed here."""
'''
STAGED = """op.add_column("customers", sa.Column("full_name", sa.Text()))
    operations.mirror_columns("customers", "name", "full_name")
    operations.backfill("customers", "full_name = name", where="full_name IS NULL")
    operations.set_not_null("customers", "full_name")"""
AT_ONCE = """op.alter_column("customers", "name", new_column_name="full_name")"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered service under git whose first release is tagged."""
    place = tmp_path_factory.mktemp("released")
    template = publish(REPOSITORY, place / "template")
    service = born(template, place / "service", {"preset": "minimal"})
    subprocess.run(["uv", "sync", "--quiet"], cwd=service, env=environment(), check=True)
    commit(service, "Lock")
    git(service, "tag", "release-1")
    return service


@pytest.mark.parametrize(("change", "works"), [(STAGED, True), (AT_ONCE, False)])
def test_the_release_before_is_tested_on_the_newer_schema(released: Path, change: str, works: bool):
    migration = released / "migrations" / "versions" / "app" / "app_0002_names.py"
    migration.write_text(MIGRATION.format(change=change), encoding="utf-8")

    done = subprocess.run(
        ["uv", "run", "just", "previous-release", "tests/contract/test_customers.py"],
        cwd=released,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode == 0) is works, done.stdout[-3000:] + done.stderr[-3000:]
    assert ("failed" in done.stdout or "error" in done.stdout) is not works
    assert git(released, "worktree", "list").count("\n") == 0
