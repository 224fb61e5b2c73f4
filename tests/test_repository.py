"""The repository keeps for itself the rules that it sets for others."""

import subprocess

import pytest
from slipway.catalogue import REPOSITORY


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check"],
        ["ruff", "check"],
        ["basedpyright"],
        ["yamllint", "--strict", "-c", ".yamllint.yml", "copier.yml", "patterns", ".github"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_tools_and_tests_are_clean(command: list[str]):
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_decisions_are_numbered_without_gaps_and_say_why():
    pages = sorted((REPOSITORY / "docs/decisions").glob("[0-9]*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# "), page.name
        assert "## Why" in text, page.name
