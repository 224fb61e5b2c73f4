"""Clients cannot tell the frameworks apart: both describe the same interface."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Rendering
from slipway.catalogue import load_catalogue
from slipway.verify import environment

pytestmark = pytest.mark.executed

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    "patterns", [[], [pattern.name for pattern in CATALOGUE.patterns]], ids=["none", "all"]
)
def test_the_openapi_documents_of_all_frameworks_are_equal(
    rendering: Rendering, patterns: list[str]
):
    documents = [
        document(rendering(framework=framework, patterns=patterns))
        for framework in CATALOGUE.question("framework").values
    ]
    assert len(documents) > 1
    assert all(other == documents[0] for other in documents[1:])
    assert documents[0]["paths"]


def document(project: Path) -> dict[str, Any]:
    command = ["uv", "run", "--quiet", "python", "-m", "app", "openapi"]
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
