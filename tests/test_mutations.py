"""Each registration of a rendered service is proven: without its line, a named test fails.

That the same tests pass with it is shown where the fullest service is executed.
"""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from slipway.catalogue import REPOSITORY, Answer
from slipway.rendering import copy_template, render
from slipway.verify import environment

pytestmark = pytest.mark.mutations

ANSWERS: dict[str, Answer] = {"patterns": ["auth", "rate_limiting", "outbox"]}

# What is registered, and the tests that fail without it.
COMPONENTS = {
    "add_logging": "contract/test_logging.py::test_a_request_is_one_line_with_its_ids",
    "add_health": "integration/test_configuration.py",
    "add_server": "contract/test_health.py",
    "add_http": "contract/test_health.py",
    "add_pagination": "contract/test_order_lists.py",
    "add_database": "contract/test_customers.py",
    "add_event_log": "contract/test_orders.py",
    "add_outbox": "contract/test_order_events.py",
    "add_auth": "contract/test_auth_scopes.py",
    "add_redis": "contract/test_rate_limiting.py",
    "add_rate_limiting": "contract/test_rate_limiting.py",
    "add_analytics": "contract/test_order_events.py",
    "add_customers": "contract/test_customers.py",
    "add_orders": "contract/test_orders.py",
}
MIDDLEWARE = {
    "Compression": "contract/test_conditional_requests.py",
    "Deprecations": "unit/test_deprecation.py",
    "RepeatedFields": "contract/test_conditional_requests.py",
    "MediaTypes": "contract/test_orders.py",
    "ContentNegotiation": "contract/test_versioning.py",
    "HeadRequests": "contract/test_headers.py",
    "InputLimits": "contract/test_input_limits.py",
    "ServerOptions": "contract/test_input_limits.py",
    "AllowedHosts": "contract/test_problems.py",
    "ErrorBoundary": "contract/test_problems.py",
    "CrossOrigin": "contract/test_headers.py",
    "SecurityHeaders": "contract/test_headers.py",
    "RequestContext": "contract/test_headers.py",
}
FASTAPI = {
    "guard": "contract/test_auth_scopes.py",
    "add_problem_handlers": "contract/test_orders.py",
}
LITESTAR = {"guard": "contract/test_auth_scopes.py", "PROBLEM_HANDLERS": "contract/test_orders.py"}


@dataclass(frozen=True)
class Registrations:
    """The lines of one file that register something, and the proof of each."""

    framework: str
    path: str
    line: re.Pattern[str]
    proofs: dict[str, str]

    def __str__(self) -> str:
        return f"{self.framework}:{Path(self.path).stem}"


EVERY = [
    Registrations(
        "fastapi",
        "src/app/bootstrap.py",
        re.compile(r"^    (add_\w+),\n", re.MULTILINE),
        COMPONENTS,
    ),
    Registrations(
        "fastapi",
        "src/app/chassis/web.py",
        re.compile(r"^    app = (?:\w+ = )?(\w+)\(app\b.*\n", re.MULTILINE),
        MIDDLEWARE,
    ),
    Registrations(
        "fastapi", "src/app/http/app.py", re.compile(r"^    (\w+)\(api\)\n", re.MULTILINE), FASTAPI
    ),
    Registrations(
        "litestar",
        "src/app/http/app.py",
        re.compile(r"^        \w+=\[?(guard|PROBLEM_HANDLERS)\]?,\n", re.MULTILINE),
        LITESTAR,
    ),
]
MUTANTS = [(registrations, name) for registrations in EVERY for name in registrations.proofs]
Project = Callable[[str], Path]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The fullest service on a framework, with its environment."""

    @cache
    def make(framework: str) -> Path:
        place = tmp_path_factory.mktemp(framework)
        answers = ANSWERS | {"framework": framework}
        render(copy_template(REPOSITORY, place / "template"), place / "project", answers)
        sync = ["uv", "sync", "--quiet"]
        subprocess.run(sync, cwd=place / "project", env=environment(), check=True)
        return place / "project"

    return make


def run_tests(project: Path, proof: str) -> "subprocess.CompletedProcess[str]":
    pytest_once = ["uv", "run", "--no-sync", "--quiet", "pytest", "-qx", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*pytest_once, f"tests/{proof}"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("registrations", EVERY, ids=str)
def test_every_registration_has_a_proof(project: Project, registrations: Registrations):
    source = (project(registrations.framework) / registrations.path).read_text()
    assert set(registrations.line.findall(source)) == set(registrations.proofs)


@pytest.mark.parametrize(("registrations", "name"), MUTANTS, ids=str)
def test_without_its_registration_a_proof_fails(
    project: Project, registrations: Registrations, name: str
):
    place = project(registrations.framework)
    file = place / registrations.path
    source = file.read_text()
    without = registrations.line.sub(lambda line: "" if line[1] == name else line[0], source)
    assert without.count("\n") == source.count("\n") - 1
    file.write_text(without)
    try:
        done = run_tests(place, registrations.proofs[name])
    finally:
        file.write_text(source)
    assert done.returncode == 1, done.stdout[-6000:]
