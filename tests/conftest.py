"""What the tests share: the catalogue, a template outside of git, and renderings made once."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from projects import publish
from slipway.catalogue import REPOSITORY, Answer, Catalogue, load_catalogue
from slipway.rendering import copy_template, render

Rendering = Callable[..., Path]
PARTS = ("space", "toggle", "mutations", "executed")

# Git must behave the same on every machine, whatever its owner has configured.
os.environ |= {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
}
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template outside of git: Copier renders it without cloning."""
    return copy_template(REPOSITORY, tmp_path_factory.mktemp("template") / "slipway")


@pytest.fixture(scope="session")
def rendering(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Rendering:
    """Render answers into a folder that tests share; nobody writes to it afterwards."""
    made: dict[str, Path] = {}

    def make(answers: Mapping[str, Answer] | None = None, **more: Answer) -> Path:
        wanted = dict(answers or {}) | more
        key = repr(sorted(wanted.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("rendering") / "service"
            render(template, made[key], wanted)
        return made[key]

    return make


@pytest.fixture(scope="session")
def small() -> Catalogue:
    """A template with requirements, exclusions and questions that depend on others."""
    return load_catalogue(Path(__file__).parent / "small")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template under git, with a version."""
    return publish(REPOSITORY, tmp_path_factory.mktemp("published") / "slipway")


@pytest.fixture
def small_published(small: Catalogue, tmp_path: Path) -> Path:
    """The small template under git, with a version; each test may publish more of them."""
    return publish(small.root, tmp_path / "small-published")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: the tests of rendered services mostly wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that at the end no worker waits for another."""
    items.sort(key=lambda item: "executed" not in item.keywords)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each part took: the seconds of its tests, which run side by side."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                part = next((part for part in PARTS if part in report.keywords), "rules")
                seconds[part] += report.duration
    again = [
        f"{report.nodeid}:\n{tests}"
        for report in terminalreporter.getreports("passed")
        for name, tests in report.user_properties
        if name == "again"
    ]
    if again:
        terminalreporter.section("passed only when they were run again")
        terminalreporter.write_line("\n".join(again))
    terminalreporter.section("seconds of each part")
    for part, total in sorted(seconds.items()):
        terminalreporter.write_line(f"{part}: {total:.0f}")
