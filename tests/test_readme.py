"""Every command that README shows is run here, or proven by the test that is named beside it."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from slipway.catalogue import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ").partition(" #")[0].strip()
    for fence in FENCES
    for line in fence.splitlines()
    if line.strip() and not line.startswith("#")
]

# Harmless and quick: run as they stand, in the repository.
RUN = re.compile(r"^uv run slipway (preview|diff|matrix)\b")

# The others: what proves them.
PROVEN = {
    r"^cd ": "tests/test_readme.py",
    r"^git (clone|init|add|commit)\b": "tests/projects.py",
    r"^uvx copier copy \S+ \S+$": "tests/test_prompts.py",
    r"^uvx copier update\b": "tests/test_toggles.py",
    r"^uv run pytest\b": "tests/test_executed.py",
    r"^uv run \S+ dev$": "tests/test_executed.py",
    r"^uv run (ruff|basedpyright)\b": "tests/test_repository.py",
    r"^uv run slipway (new|add|remove|update)\b": "tests/test_cli.py",
    r"^uv run slipway verify\b": "tests/test_executed.py",
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if RUN.match(c)])
def test_a_command_of_the_readme_runs(command: str):
    done = subprocess.run(
        shlex.split(command), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if not RUN.match(c)])
def test_every_other_command_of_the_readme_is_proven_elsewhere(command: str):
    proofs = [test for pattern, test in PROVEN.items() if re.match(pattern, command)]
    assert proofs, f"{command}: say in PROVEN what proves it"
    assert all((REPOSITORY / proof).exists() for proof in proofs)


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", README)
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_python_versions_of_the_project_are_those_that_it_renders():
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11"' in project
    assert Path(REPOSITORY / ".gitignore").read_text().splitlines().count("uv.lock") == 1
