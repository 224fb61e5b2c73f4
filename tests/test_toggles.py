"""Patterns switch on and off in living projects: toggle equals birth, and edits are kept."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import born, commit, conflicts, tree, updated
from slipway.catalogue import Answer, load_catalogue
from slipway.verify import checks, environment

pytestmark = pytest.mark.toggle

CATALOGUE = load_catalogue()
FRAMEWORKS = CATALOGUE.question("framework").values
ALL = [pattern.name for pattern in CATALOGUE.patterns]
# What edits and a switch can break together; where these answers are executed, all tests run.
TOUCHED = (
    "tests/contract/test_health.py",
    "tests/contract/test_orders.py",
    "tests/integration/test_configuration.py",
    "tests/integration/test_migrations.py",
    "tests/integration/test_processes.py",
    "tests/unit",
)
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
each_pattern = pytest.mark.parametrize("pattern", ALL)


def without(pattern: str) -> list[str]:
    """All patterns but one, and but those that require it."""
    gone = {pattern, *CATALOGUE.dependents([pattern], ALL)}
    return [name for name in ALL if name not in gone]


@each_framework
@each_pattern
def test_switched_on_equals_born_with(
    framework: str, pattern: str, published: Path, tmp_path: Path
):
    wanted = CATALOGUE.with_requirements([pattern])
    project = born(published, tmp_path / "toggled", {"framework": framework, "patterns": []})

    updated(project, patterns=wanted)

    twin = born(published, tmp_path / "born", {"framework": framework, "patterns": wanted})
    assert_same(project, twin)


@each_framework
@each_pattern
def test_switched_off_equals_born_without(
    framework: str, pattern: str, published: Path, tmp_path: Path
):
    project = born(published, tmp_path / "toggled", {"framework": framework, "patterns": ALL})

    updated(project, patterns=without(pattern))

    answers: dict[str, Answer] = {"framework": framework, "patterns": without(pattern)}
    assert_same(project, born(published, tmp_path / "born", answers))


@pytest.mark.parametrize(
    "change",
    [
        {"example": False},
        {"framework": "litestar"},
        {"broker": "rabbitmq"},
        {"ci": "none"},
        {"deploy": []},
    ],
    ids=repr,
)
def test_other_answers_can_be_changed_later_too(
    change: dict[str, Answer], published: Path, tmp_path: Path
):
    project = born(published, tmp_path / "toggled", {"patterns": ALL})

    updated(project, **change)

    assert_same(project, born(published, tmp_path / "born", {"patterns": ALL, **change}))


@each_framework
@each_pattern
def test_edits_are_kept_when_a_pattern_comes_and_goes(
    framework: str, pattern: str, published: Path, tmp_path: Path
):
    wanted = CATALOGUE.with_requirements([pattern])
    project = born(published, tmp_path / "project", {"framework": framework, "patterns": []})
    edit(project)
    edited = tree(project)

    updated(project, patterns=wanted)

    assert conflicts(project) == []
    assert_edits_kept(project)
    commit(project, "Switch on")
    updated(project, patterns=[])
    assert conflicts(project) == []
    assert_edits_kept(project)
    assert {path for path, content in tree(project).items() if edited.get(path) != content} == set()
    assert edited.keys() == tree(project).keys()


@pytest.mark.executed
@each_framework
def test_an_edited_project_is_green_after_every_switch(
    framework: str, published: Path, tmp_path: Path
):
    project = born(published, tmp_path / "project", {"framework": framework, "patterns": []})
    edit(project)
    for patterns in (ALL, []):
        updated(project, patterns=patterns)
        commit(project, f"Switch to {patterns}")
        for name, command in checks("3.11").items():
            done = subprocess.run(
                [*command, *(TOUCHED if name == "tests" else ())],
                cwd=project,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{patterns} {name}\n{done.stdout[-6000:]}{done.stderr}"
        # The first environment wrote uv.lock, which belongs under version control.
        commit(project, "Lock the dependencies")


def assert_same(project: Path, twin: Path) -> None:
    one, other = tree(project), tree(twin)
    assert one.keys() == other.keys()
    assert [path for path in one if one[path] != other[path]] == []


def edit(project: Path) -> None:
    """Edit the project as a team does in its first weeks, and commit."""
    for path, change in EDITS.items():
        place = project / path
        place.parent.mkdir(parents=True, exist_ok=True)
        old = place.read_text(encoding="utf-8") if place.exists() else ""
        new = change(old)
        assert new != old, f"{path} is not what these edits were written for"
        place.write_text(new, encoding="utf-8")
    for add in (["humanize"], ["--dev", "freezegun"]):
        subprocess.run(
            ["uv", "add", "--quiet", "--frozen", *add], cwd=project, env=environment(), check=True
        )
    commit(project, "Our own work")


def assert_edits_kept(project: Path) -> None:
    for path, marks in MARKS.items():
        text = (project / path).read_text(encoding="utf-8")
        assert [mark for mark in marks if mark not in text] == [], path


def appended(words: str) -> Callable[[str], str]:
    return lambda old: old + words


def replaced(before: str, after: str) -> Callable[[str], str]:
    return lambda old: old.replace(before, after, 1)


def enrolled(old: str) -> str:
    """Add a component of the team's own to the list of all components."""
    before, after = "from app.orders import add_orders\n", "    add_orders,\n"
    own = old.replace(before, f"from app.harbour import add_harbour\n{before}", 1)
    return own.replace(after, f"{after}    add_harbour,\n", 1)


HARBOUR = '''"""Our own component: the harbour that ships call at."""

from dataclasses import dataclass

from app.chassis.service import Service


@dataclass(frozen=True)
class Harbour:
    """Where ships wait."""

    berths: int = 12


def add_harbour(service: Service) -> None:
    """Provide `Harbour`."""
    service.provide(Harbour())
'''

HARBOUR_TEST = """from app.harbour import Harbour


def test_there_are_berths() -> None:
    assert Harbour().berths == 12
"""

MIGRATION = '''"""Numbers for berths."""

from collections.abc import Sequence

from alembic import op

revision: str = "app_0002"
down_revision: str | Sequence[str] | None = "app_0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Start to count."""
    op.execute("CREATE SEQUENCE berth_numbers")


def downgrade() -> None:
    """Stop counting."""
    op.execute("DROP SEQUENCE berth_numbers")
'''

EDITS: dict[str, Callable[[str], str]] = {
    "README.md": appended("\n## Our runbook\n\nAsk the harbour master.\n"),
    "pyproject.toml": replaced('version = "0.1.0"', 'version = "2.3.4"'),
    "justfile": appended("\n# Ours\nharbour:\n    echo Rotterdam\n"),
    "src/app/bootstrap.py": enrolled,
    "src/app/harbour.py": appended(HARBOUR),
    "src/app/orders/service.py": replaced('."""', ', and berths one day."""'),
    "tests/unit/test_harbour.py": appended(HARBOUR_TEST),
    "migrations/versions/app/app_0002_berths.py": appended(MIGRATION),
}

MARKS = {
    "README.md": ["Ask the harbour master."],
    "pyproject.toml": ['version = "2.3.4"', '"humanize', '"freezegun'],
    "justfile": ["echo Rotterdam"],
    "src/app/bootstrap.py": ["import add_harbour", "    add_harbour,"],
    "src/app/harbour.py": ["class Harbour"],
    "src/app/orders/service.py": [', and berths one day."""'],
    "tests/unit/test_harbour.py": ["test_there_are_berths"],
    "migrations/versions/app/app_0002_berths.py": ["berth_numbers"],
}
