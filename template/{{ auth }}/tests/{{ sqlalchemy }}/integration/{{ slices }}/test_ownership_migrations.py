"""Ownership's migrations build on other tables, and go without taking those along."""

import shutil
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.chassis.database import DatabaseSettings
from app.chassis.database.migrate import LOCATION, migrate
from tests.kit.servers import database


def test_what_it_depended_on_is_known_when_it_is_gone(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tmp_path / "migrations"
    shutil.copytree(LOCATION, without)
    script = ScriptDirectory(str(without), recursive_version_locations=True)
    depending = [each for each in script.walk_revisions() if each.dependencies]
    assert depending
    for each in depending:
        Path(each.path).unlink()
    with database(postgres_url) as url:
        settings = DatabaseSettings.model_validate({"url": url})
        for location in (LOCATION, without, LOCATION, without):
            monkeypatch.setattr("app.chassis.database.migrate.LOCATION", location)
            migrate(settings)
