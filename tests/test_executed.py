"""A covering array of rendered services, each in its own environment, passes all its checks."""

from pathlib import Path

import pytest
from slipway.catalogue import REPOSITORY, load_catalogue
from slipway.matrix import Row, covering_rows
from slipway.verify import installed_pythons, verify

pytestmark = pytest.mark.executed

CATALOGUE = load_catalogue()
PYTHONS = installed_pythons(CATALOGUE.question("python_version").values)
ROWS = covering_rows(CATALOGUE, only={"python_version": PYTHONS}) if PYTHONS else []


def test_there_is_an_interpreter_to_run_with():
    assert PYTHONS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_rendered_service_passes_its_own_checks(row: Row, tmp_path: Path):
    failed = [step for step in verify(row, REPOSITORY, tmp_path) if not step.passed]
    assert failed == [], "\n\n".join(f"{step}\n{step.output[-6000:]}" for step in failed)
