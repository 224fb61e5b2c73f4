"""The command line does what it says, and refuses with a reason what it cannot do."""

import json
import os
from pathlib import Path

import pytest
from projects import born, commit, tree
from slipway import cli
from slipway.catalogue import Catalogue, load_catalogue
from slipway.cli import main


@pytest.fixture
def offering_small(small: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Let the command offer the small template in place of the real one."""
    monkeypatch.setattr(cli, "REPOSITORY", small.root)
    monkeypatch.setattr(cli, "load_catalogue", lambda: load_catalogue(small.root))
    return small


@pytest.mark.usefixtures("offering_small")
def test_preview_draws_the_tree(capsys: pytest.CaptureFixture[str]):
    assert main(["preview", "patterns=outbox,saga"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "├─ README.md",
        "├─ outbox.py",
        "└─ saga.py",
        "3 files",
    ]


@pytest.mark.usefixtures("offering_small")
def test_diff_shows_what_an_answer_changes(capsys: pytest.CaptureFixture[str]):
    assert main(["diff", "patterns=outbox", "--with", "patterns=caching", "--names"]) == 0
    assert capsys.readouterr().out == "- outbox.py\n~ README.md\n"


@pytest.mark.usefixtures("offering_small")
def test_new_without_questions_renders(tmp_path: Path):
    made = tmp_path / "service"

    assert main(["new", str(made), "framework=litestar", "--defaults"]) == 0

    assert (made / "README.md").read_text().startswith("Runs on litestar with caching.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["preview", "patterns=auht"], "does not offer 'auht'"),
        (["preview", "patterns=saga"], "saga requires outbox"),
        (["preview", "framework"], "is not QUESTION=ANSWER"),
        (["preview", "colour=blue"], "is not QUESTION=ANSWER"),
        (["preview", "example=perhaps"], "neither yes nor no"),
        (["verify", "no-such-row"], "No such combination: no-such-row"),
        (["new", "."], "exists and is not empty"),
        (["new", "--defaults", "/dev/null/x"], "Not a directory"),
        (["add", "auht"], "There is no pattern 'auht'"),
        (["remove", "auht"], "There is no pattern 'auht'"),
        (["update", "--project", "/"], "not rendered by Copier"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.usefixtures("offering_small")
def test_a_mistake_is_answered_with_a_reason(
    arguments: list[str],
    reason: str,
    small_published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(born(small_published, tmp_path / "project", {"patterns": []}))

    assert main(arguments) == 2

    assert reason in capsys.readouterr().err


def test_a_command_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["launch"])

    assert left.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.usefixtures("offering_small")
def test_new_without_a_terminal_asks_for_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["new", str(tmp_path / "service")]) == 2
    assert "--defaults" in capsys.readouterr().err


@pytest.mark.usefixtures("offering_small")
def test_add_brings_requirements_and_remove_names_dependents(
    small_published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    project = born(small_published, tmp_path / "project", {"patterns": []})
    twin = born(small_published, tmp_path / "twin", {"patterns": ["outbox", "saga"]})

    relative = os.path.relpath(project)
    assert main(["add", "saga", "--project", relative]) == 0
    assert "outbox is required too" in capsys.readouterr().out
    assert tree(project) == tree(twin)
    commit(project, "Add")

    assert main(["remove", "outbox", "--project", str(project)]) == 2
    assert "saga cannot do without it" in capsys.readouterr().err
    assert main(["remove", "outbox", "saga", "--project", str(project)]) == 0
    assert tree(project) == tree(born(small_published, tmp_path / "bare", {"patterns": []}))


@pytest.mark.usefixtures("offering_small")
def test_nothing_is_lost_unless_the_user_insists(
    small_published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    project = born(small_published, tmp_path / "project", {"patterns": ["outbox"]})
    (project / "outbox.py").write_text("MINE = True\n")
    here = ["--project", str(project)]

    assert main(["remove", "outbox", *here]) == 2
    assert "not committed" in capsys.readouterr().err
    commit(project, "Edit")

    assert main(["remove", "outbox", *here, "--dry-run"]) == 0
    assert main(["remove", "outbox", *here]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert (project / "outbox.py").read_text() == "MINE = True\n"
    assert main(["remove", "outbox", *here, "--force"]) == 0
    assert not (project / "outbox.py").exists()


def test_the_matrix_prints_ids_or_json(capsys: pytest.CaptureFixture[str]):
    assert main(["matrix"]) == 0
    ids = capsys.readouterr().out.split()
    assert main(["matrix", "--json"]) == 0
    include = json.loads(capsys.readouterr().out)["include"]
    assert main(["matrix", "--all"]) == 0
    everything = capsys.readouterr().out.split()

    assert [entry["id"] for entry in include] == ids
    assert set(ids) < set(everything)
