"""The continuous integration builds its matrix from the code, and trusts nobody with more."""

import json
import os
import re
import subprocess

import pytest
import yaml
from slipway.catalogue import REPOSITORY, Catalogue
from slipway.cli import main
from slipway.matrix import every_row, missing

TEXT = (REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)


def test_the_matrix_comes_from_the_covering_array(
    capsys: pytest.CaptureFixture[str], catalogue: Catalogue
):
    command = WORKFLOW["jobs"]["matrix"]["steps"][-1]["run"]
    assert "$(uv run slipway matrix --json)" in command
    assert WORKFLOW["jobs"]["service"]["strategy"]["matrix"] == (
        "${{ fromJSON(needs.matrix.outputs.rows) }}"
    )

    main(["matrix", "--json"])

    ids = {entry["id"] for entry in json.loads(capsys.readouterr().out)["include"]}
    rows = [row for row in every_row(catalogue) if row.id in ids]
    assert missing(rows, 2, every_row(catalogue)) == set()


def test_actions_are_pinned_and_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)", TEXT)
    assert used
    assert [action for action in used if not re.search(r"@[0-9a-f]{40}$", action)] == []


def test_no_expression_is_pasted_into_a_shell():
    for job in WORKFLOW["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_the_runner_runs_the_test_command_of_the_readme():
    script = REPOSITORY / ".ci/run"

    assert os.access(script, os.X_OK)
    assert "exec uv run pytest" in script.read_text(encoding="utf-8")
    assert "uv run pytest" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
