"""A covering array of rendered services, each in its own environment, passes all its checks."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from slipway.catalogue import REPOSITORY, load_catalogue
from slipway.matrix import Row, covering_rows
from slipway.verify import Step, checks, environment, installed_pythons, verify

pytestmark = pytest.mark.executed

CATALOGUE = load_catalogue()
PYTHONS = installed_pythons(CATALOGUE.question("python_version").values)
ROWS = covering_rows(CATALOGUE, only={"python_version": PYTHONS}) if PYTHONS else []
# More than this is no noise.
AGAIN_AT_MOST = 2
OUTPUT_KEPT = 6000
VERDICT = re.compile(r"^(?=.* (?:failed|errors?)\b)\d+ \w+(?:, \d+ \w+)* in \d", re.MULTILINE)
COUNT = re.compile(r"(\d+) (?:failed|errors?)\b")
NOT_PASSED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def test_there_is_an_interpreter_to_run_with():
    assert PYTHONS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_rendered_service_passes_its_own_checks(
    row: Row, tmp_path: Path, record_property: Callable[[str, object], None]
):
    failed = [step for step in verify(row, REPOSITORY, tmp_path) if not step.passed]
    again = few_tests(failed)
    if again and passes(again, tmp_path / "project"):
        record_property("again", "\n".join([*again, failed[0].output[-OUTPUT_KEPT:]]))
    else:
        assert failed == [], "\n\n".join(f"{step}\n{step.output[-OUTPUT_KEPT:]}" for step in failed)


def few_tests(failed: list[Step]) -> list[str]:
    """Name the tests that did not pass, if all else is well and so few may be noise."""
    if [step.name for step in failed] != ["tests"]:
        return []
    (step,) = failed
    verdict = VERDICT.search(step.output)
    if verdict is None:
        return []
    count = sum(map(int, COUNT.findall(verdict[0])))
    names = NOT_PASSED.findall(step.output)
    return names if count == len(names) <= AGAIN_AT_MOST else []


def passes(tests: list[str], project: Path) -> bool:
    """Run tests of a rendered service again, without the others."""
    command = [*checks("3.11")["tests"], *tests]
    return (
        subprocess.run(
            command,
            cwd=project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("FAILED tests/a.py::test_b[POST /v1] - assert 1\n1 failed, 7 passed in 3.2s", 1),
        ("ERROR tests/a.py::test_b - E: e\n7 passed, 1 error in 223.08s (0:03:43)", 1),
        ("FAILED tests/a.py::b\nERROR tests/a.py::c\n1 failed, 7 passed, 1 error in 3.2s", 2),
        ("FAILED tests/a.py::b\n1 failed, 7 passed, 1 error in 3.2s", 0),
        ("FAILED a::b\nFAILED a::c\nFAILED a::d\n3 failed, 7 passed in 3.2s", 0),
        ("Traceback", 0),
    ],
)
def test_only_few_failures_are_given_another_chance(output: str, names: int):
    step = Step("tests", passed=False, seconds=1.0, output=output)
    assert len(few_tests([step])) == names
    assert few_tests([step, Step("types", passed=False, seconds=1.0, output="")]) == []
