"""The environment configures the service; what is wrong there is said before anything starts."""

import re
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from app.bootstrap import COMPONENTS
from app.chassis.service import assemble
from app.chassis.settings import ConfigurationError, Settings
from app.chassis.web import add_server
from tests.kit.processes import run_command

ROOT = Path(__file__).parents[2]
NUMBERS: tuple[object, ...] = (int, float, timedelta)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> list[Settings]:
    """What the components of the service have loaded."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    return assemble(COMPONENTS).settings


def test_every_bad_variable_is_named_and_no_value_is_shown() -> None:
    result = run_command(
        "serve",
        DATABASE_URL="mysql://root:hunter2@db/shop",
        PORT="eighty",
        HTTP_MAX_BODY_BYTES="-7",
    )
    assert result.returncode == 2
    for variable in ("DATABASE_URL", "PORT", "HTTP_MAX_BODY_BYTES"):
        assert variable in result.stderr
    for value in ("hunter2", "eighty", "-7"):
        assert value not in result.stdout + result.stderr


@pytest.mark.parametrize("value", ["eighty", "1" + "0" * 22])
def test_no_bad_variable_hides_another(settings: list[Settings], value: str) -> None:
    numbers = {
        name
        for kind in settings
        for name, field in _variables(kind).items()
        if field.annotation in NUMBERS
    }
    result = run_command("serve", **dict.fromkeys(numbers, value), DATABASE_URL="")
    assert result.returncode == 2
    assert {line.partition(":")[0] for line in result.stderr.splitlines()[1:]} == {
        "DATABASE_URL",
        *numbers,
    }


def test_what_production_needs_is_named_beside_what_is_bad() -> None:
    result = run_command("serve", ENVIRONMENT="production", LOG_LEVEL="loud")
    assert result.returncode == 2
    named = {line.partition(":")[0] for line in result.stderr.splitlines()[1:]}
    assert named >= {"LOG_LEVEL", "PAGINATION_SECRET"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PUBLIC_URL", "https://api.example.com/shop"),
        ("PUBLIC_URL", "https://api.example.com?shop=1"),
        ("ALLOWED_HOSTS", "localhost,localhost:8000"),
        ("ALLOWED_HOSTS", "https://localhost"),
        ("TRUSTED_PROXIES", "10.0.0.1,balancer"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1,::/0"),
        ("HTTP_CORS_ORIGINS", "*"),
        ("HTTP_CORS_ORIGINS", "https://app.example.com/"),
        ("HTTP_HEADER_TIMEOUT", "0"),
        ("HEALTH_CHECK_TIMEOUT", "0"),
    ],
)
def test_what_would_never_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], variable: str, value: str
) -> None:
    for name, given in {**environment, variable: value}.items():
        monkeypatch.setenv(name, given)
    with pytest.raises(ConfigurationError) as refused:
        assemble(COMPONENTS)
    assert refused.value.reasons.keys() == {variable}


@pytest.mark.parametrize(
    ("hosts", "is_served"),
    [
        (None, False),
        ("localhost,example.com", False),
        ("*.api.example.com", False),
        ("localhost,api.example.com", True),
        ("*.example.com", True),
        ("*", True),
    ],
)
def test_the_public_address_must_be_one_that_is_served(
    monkeypatch: pytest.MonkeyPatch, hosts: str | None, *, is_served: bool
) -> None:
    monkeypatch.delenv("ALLOWED_HOSTS", raising=False)
    monkeypatch.setenv("PUBLIC_URL", "https://API.example.com:8443")
    if hosts is not None:
        monkeypatch.setenv("ALLOWED_HOSTS", hosts)
    with nullcontext() if is_served else pytest.raises(ConfigurationError) as refused:
        assemble([add_server])
    if refused is not None:
        assert "PUBLIC_URL" in refused.value.reasons["ALLOWED_HOSTS"]


@pytest.mark.parametrize("secret", ["", "short", "change-me-" * 5])
def test_production_refuses_a_missing_short_or_placeholder_secret(
    secret: str, environment: dict[str, str], production: dict[str, str]
) -> None:
    settings = {**environment, **production, "PAGINATION_SECRET": secret}
    result = run_command("serve", **settings)
    assert result.returncode == 2
    assert "PAGINATION_SECRET" in result.stderr


def test_a_secret_may_be_a_mounted_file(tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("no-url-at-all")
    result = run_command("serve", SECRETS_DIR=str(tmp_path), DATABASE_URL="")
    assert result.returncode == 2
    assert "must be like postgresql://" in result.stderr


def test_every_setting_is_in_the_example(settings: list[Settings]) -> None:
    documented = dict(
        re.findall(
            r"^#? ?([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE
        )
    )
    expected = {name for kind in settings for name in _variables(kind)}
    assert set(documented) - {"SECRETS_DIR"} == expected


def test_the_example_can_be_used_as_it_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    lines = (ROOT / ".env.example").read_text()
    example = dict(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=(.+)$", lines, re.MULTILINE))
    example["DATABASE_URL"] = environment["DATABASE_URL"]
    for variable in {*example, *environment}:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DATABASE_URL", example["DATABASE_URL"])
    without = assemble(COMPONENTS).settings
    for variable, value in example.items():
        monkeypatch.setenv(variable, value)
    assert assemble(COMPONENTS).settings == without


def _variables(settings: Settings) -> dict[str, FieldInfo]:
    prefix = settings.model_config.get("env_prefix", "")
    fields = type(settings).model_fields
    return {f"{prefix}{name}".upper(): field for name, field in fields.items()}
