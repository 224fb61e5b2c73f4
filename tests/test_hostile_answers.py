"""Clumsy or hostile answers are refused with a reason, or rendered safely; never outside."""

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from slipway.catalogue import Answer, Answers, Catalogue, load_catalogue
from slipway.oracle import rejected
from slipway.rendering import RefusedAnswersError, render

TEXTS = ("service_name", "service_slug", "description", "owner")
HOSTILE = [
    "../../etc",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    " padded ",
    'say "hello"',
    "it's",
    "two\nlines",
    "trailing\n",
    "carriage\rreturn",
    "tab\there",
    "nul\x00byte",
    "{{ 7*7 }}",
    "{{7*7}}",
    "# {% if true %}",
    "-rf",
    "--help",
    "🚀",
    "class",
    "None",
    "true",
    "123",
    "1.0",
    "null",
    "~",
    "$(id)",
    "`id`",
    "a; rm -rf b",
    "a: b",
    "- a",
    "# comment",
    "%TEMP%",
    "back\\slash",
    "a" * 10_000,
    "CON",
    "ünïcödé",
    "\u202egnp",
    "app",
    "pytest",
]


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda text: ascii(text)[:30])
@pytest.mark.parametrize("question", TEXTS)
def test_a_hostile_text_is_refused_or_harmless(
    question: str, answer: str, catalogue: Catalogue, template: Path, tmp_path: Path
):
    answers: dict[str, Answer] = {question: answer, "patterns": ["auth", "rate_limiting", "outbox"]}
    if question == "service_name":
        answers["service_slug"] = "fixed-slug"
    refusal = attempt(template, tmp_path / "room" / "out", answers)

    if rejected(catalogue, answers):
        assert refusal
        assert question in refusal
    if refusal:
        assert list(tmp_path.iterdir()) == []
    else:
        assert [path.name for path in tmp_path.iterdir()] == ["room"]
        assert [path.name for path in (tmp_path / "room").iterdir()] == ["out"]
        assert_sound(tmp_path / "room" / "out")


@pytest.mark.parametrize("layer", ["auth", "outbox", "fastapi", "sqlalchemy"])
@pytest.mark.parametrize("value", ["../../escaped", "/slipway-escaped", "..", "src/../../escaped"])
def test_a_hidden_layer_cannot_be_led_outside(
    layer: str, value: str, template: Path, tmp_path: Path
):
    attempt(template, tmp_path / "room" / "out", {layer: value})

    outside = [path for path in tmp_path.rglob("*") if "escaped" in path.as_posix()]
    assert [path for path in outside if (tmp_path / "room" / "out") not in path.parents] == []
    assert {path.name for path in tmp_path.iterdir()} <= {"room"}
    assert not Path("/slipway-escaped").exists()


def test_a_slug_never_hides_a_package_of_the_service(template: Path, tmp_path: Path):
    catalogue = load_catalogue()
    installed: set[str] = set()
    chosen: Answers = {"patterns": ["auth", "rate_limiting", "outbox"]}
    for framework in catalogue.question("framework").values:
        for broker in catalogue.question("broker").values:
            service = tmp_path / framework / broker
            render(template, service, {**chosen, "framework": framework, "broker": broker})
            installed |= packages_of(service)

    taken = str(catalogue.settings["service_slug"]["validator"])
    assert sorted(name for name in installed if f"'{name}'" not in taken) == []
    for name in ("fastapi", "pytest", "uv"):
        refusal = attempt(template, tmp_path / "out", {"service_slug": name})
        assert refusal
        assert "another" in refusal


def packages_of(service: Path) -> set[str]:
    """Return the names of all packages that an environment of the service gets."""
    compile_ = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--group", "dev"]
    done = subprocess.run(
        [*compile_, "pyproject.toml"], cwd=service, check=True, capture_output=True, text=True
    )
    return {line.partition("==")[0].partition("[")[0] for line in done.stdout.splitlines()}


def attempt(template: Path, destination: Path, answers: dict[str, Answer]) -> str | None:
    """Return why the template refused the answers, or None where it rendered them."""
    try:
        render(template, destination, answers)
    except RefusedAnswersError as refusal:
        return str(refusal)
    return None


def assert_sound(service: Path) -> None:
    """Every file of a known kind still parses, and nothing was evaluated."""
    for path in service.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            ast.parse(text)
        elif path.suffix == ".toml":
            tomllib.loads(text)
        elif path.suffix in {".yml", ".yaml"}:
            list(yaml.safe_load_all(text))
