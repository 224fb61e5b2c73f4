"""Every valid combination renders, is formatted, and is clean: the whole space, not a sample.

Of the Python versions but the first, which change two lines of a rendering, a covering array.
"""

import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from copier._main import Worker
from slipway.catalogue import Catalogue, load_catalogue
from slipway.matrix import Row, covering_rows, every_row
from slipway.rendering import ANSWERS_FILE, contents, render
from sources import Source, every_source, predicted

pytestmark = pytest.mark.space

CATALOGUE = load_catalogue()
FIRST_PYTHON = CATALOGUE.question("python_version").values[:1]
WHOLE = [
    *every_row(CATALOGUE, only={"python_version": FIRST_PYTHON}),
    *covering_rows(CATALOGUE),
]
ROWS = list({row.id: row for row in WHOLE}.values())
BATCHES = sorted(
    {(str(row.levels["framework"]), str(row.levels["python_version"])) for row in ROWS}
)


@pytest.fixture(autouse=True)
def no_git_query_for_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copier asks git about every file that it writes, here always in vain: no git, no answer."""

    def no_answer(*_: object) -> None: ...

    monkeypatch.setattr(Worker, "_sync_git_index_executable_bit", no_answer)


@pytest.mark.parametrize("batch", BATCHES, ids="-".join)
def test_every_combination_renders_clean(
    batch: tuple[str, str], catalogue: Catalogue, template: Path, tmp_path: Path
):
    rows = [row for row in ROWS if (row.levels["framework"], row.levels["python_version"]) == batch]
    sources = every_source(template / "template")
    for row in rows:
        render(template, tmp_path / row.id, row.answers())
        assert_whole(row, catalogue, sources, tmp_path / row.id)

    found = findings("format", "--check", place=tmp_path) | findings("check", place=tmp_path)
    assert not found, "\n".join(sorted(found))


def findings(*check: str, place: Path) -> set[str]:
    """Return what ruff finds in all renderings below `place`, each finding once."""
    ruff = ["ruff", *check, "--no-cache", "--quiet", "--output-format=concise", "."]
    done = subprocess.run(ruff, cwd=place, capture_output=True, text=True, check=False)
    lines = f"{done.stdout}{done.stderr}".splitlines()
    return {line.partition("/")[2] for line in lines if line.strip()}


def assert_whole(row: Row, catalogue: Catalogue, sources: list[Source], service: Path) -> None:
    """The rendering has exactly the files of its layers, and each parses as its kind."""
    written = contents(service)
    assert Counter([*written, ANSWERS_FILE]) == Counter(
        predicted(catalogue, row.answers(), sources)
    ), row.id
    for path, content in written.items():
        if path.endswith(".toml"):
            tomllib.loads(content.decode())
        elif path.endswith((".yml", ".yaml")):
            list(yaml.safe_load_all(content))
