"""Forecasts say what updates do, and updates never lose work."""

from pathlib import Path

import pytest
from projects import born, commit, conflicts, git, tree
from slipway.project import Forecast, ProjectError, forecast, read_answers, require_clean, update

ON = {"patterns": ["outbox"]}
OFF: dict[str, list[str]] = {"patterns": []}


def test_a_forecast_names_new_and_changed_files_and_writes_nothing(
    small_published: Path, tmp_path: Path
):
    project = born(small_published, tmp_path / "project", OFF)
    before = tree(project)

    ahead = forecast(project, ON, to=None)

    assert ahead == Forecast(
        new=("outbox.py",), clean=("README.md",), conflicting=(), deleted=(), lost=()
    )
    assert tree(project) == before
    assert git(project, "status", "--porcelain") == ""


def test_a_forecast_names_deleted_files_and_those_whose_edits_would_be_lost(
    small_published: Path, tmp_path: Path
):
    project = born(small_published, tmp_path / "project", {"patterns": ["outbox", "saga"]})
    (project / "saga.py").write_text('"""Coordinates steps, edited."""\n')
    commit(project, "Edit")

    ahead = forecast(project, OFF, to=None)

    assert ahead.deleted == ("outbox.py", "saga.py")
    assert ahead.lost == ("saga.py",)
    assert "EDITED, would be deleted: saga.py" in str(ahead)
    assert "\ndeleted: outbox.py" in str(ahead)


def test_a_forecast_names_conflicts(small_published: Path, tmp_path: Path):
    project = born(small_published, tmp_path / "project", OFF)
    (project / "README.md").write_text("My own words.\n")
    (project / "outbox.py").write_text("MINE = True\n")
    commit(project, "Edit")

    ahead = forecast(project, ON, to=None)

    assert ahead.conflicting == ("README.md", "outbox.py")


def test_an_ignored_file_in_the_way_is_a_conflict(small_published: Path, tmp_path: Path):
    project = born(small_published, tmp_path / "project", OFF)
    (project / ".gitignore").write_text("outbox.py\n")
    commit(project, "Ignore")
    (project / "outbox.py").write_text("MINE = True\n")

    assert forecast(project, ON, to=None).conflicting == ("outbox.py",)


def test_what_was_forecast_happens(small_published: Path, tmp_path: Path):
    project = born(small_published, tmp_path / "project", OFF)

    update(project, ON, to=None)

    assert tree(project) == tree(born(small_published, tmp_path / "twin", ON))
    assert read_answers(project)["patterns"] == ["outbox"]


def test_a_project_inside_a_larger_repository_is_forecast_too(
    small_published: Path, tmp_path: Path
):
    monorepo = tmp_path / "monorepo"
    project = born(small_published, monorepo / "services/orders", OFF)
    (project / ".git").rename(monorepo / ".git")
    commit(monorepo, "All in one")

    assert forecast(project, ON, to=None).new == ("outbox.py",)


def test_switching_stays_at_the_version_and_updating_leaves_it(
    small_published: Path, tmp_path: Path
):
    project = born(small_published, tmp_path / "project", OFF)
    readme = small_published / "template/README.md.jinja"
    readme.write_text(readme.read_text() + "\nNew in the second version.\n")
    commit(small_published, "v1.1.0")
    git(small_published, "tag", "v1.1.0")

    update(project, ON, to=None)
    switched = (project / "README.md").read_text()
    commit(project, "Switch")
    update(project, {}, to="v1.1.0")

    assert "second version" not in switched
    assert "second version" in (project / "README.md").read_text()
    assert conflicts(project) == []


def test_edits_survive_an_update(small_published: Path, tmp_path: Path):
    project = born(small_published, tmp_path / "project", OFF)
    (project / "README.md").write_text((project / "README.md").read_text() + "\nMore of mine.\n")
    (project / "mine.py").write_text("MINE = True\n")
    commit(project, "Edit")

    update(project, ON, to=None)

    readme = (project / "README.md").read_text()
    assert "with outbox" in readme
    assert "More of mine." in readme
    assert (project / "mine.py").read_text() == "MINE = True\n"
    assert conflicts(project) == []


def test_uncommitted_work_is_never_touched(small_published: Path, tmp_path: Path):
    project = born(small_published, tmp_path / "project", OFF)
    (project / "README.md").write_text("Half a thought\n")
    before = tree(project)

    for attempt in (update, forecast):
        with pytest.raises(ProjectError, match=r"not committed.*\n M README\.md"):
            attempt(project, ON, to=None)

    assert tree(project) == before


def test_a_folder_outside_of_git_is_refused(tmp_path: Path):
    with pytest.raises(ProjectError, match="not under git"):
        require_clean(tmp_path)


def test_a_folder_that_was_not_rendered_is_refused(tmp_path: Path):
    with pytest.raises(ProjectError, match="not rendered by Copier"):
        read_answers(tmp_path)
