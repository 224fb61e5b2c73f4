"""The access table is complete, and its rules let in whom they name."""

import pytest

from app.access import ACCESS
from app.chassis.auth.errors import InsufficientScope, Unauthenticated
from app.chassis.auth.principal import Principal, acting_for
from app.chassis.auth.rules import (
    PUBLIC,
    RouteWithoutRule,
    Rule,
    authorize,
    check_complete,
    needs_role,
    needs_scope,
)
from app.chassis.errors import Forbidden
from app.http.app import openapi_document

NOBODY_NEEDED = {
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/problems/{slug}",
    "/openapi.json",
    "/docs",
    "/.well-known/jwks.json",
    "/v1/users",
    "/v1/tokens",
    "/v1/token-revocations",
}


def principal(scopes: str = "", *roles: str) -> Principal:
    return Principal("somebody", frozenset(scopes.split()), frozenset(roles))


def test_only_these_routes_are_public() -> None:
    assert {path for (_, path), rule in ACCESS.items() if rule.public} == NOBODY_NEEDED


def test_the_table_names_no_route_that_does_not_exist() -> None:
    paths = openapi_document()["paths"]
    documented = {(method.upper(), path) for path, item in paths.items() for method in item}
    assert set(ACCESS) - documented == {("GET", "/openapi.json"), ("GET", "/docs")}


def test_a_route_without_a_rule_is_named() -> None:
    with pytest.raises(RouteWithoutRule, match="DELETE /v1/everything"):
        check_complete(ACCESS, [("GET", "/health/live"), ("DELETE", "/v1/everything")])


@pytest.mark.parametrize(
    ("rule", "caller"),
    [
        (PUBLIC, None),
        (needs_scope("things:read"), principal("things:read things:write")),
        (needs_role("admin"), principal("", "admin")),
    ],
)
def test_a_rule_lets_in_whom_it_names(rule: Rule, caller: Principal | None) -> None:
    with acting_for(caller):
        authorize(rule, {})


@pytest.mark.parametrize(
    ("rule", "caller", "error"),
    [
        (needs_scope("things:read"), None, Unauthenticated),
        (needs_role("admin"), None, Unauthenticated),
        (needs_scope("things:read"), principal("things:write", "admin"), InsufficientScope),
        (needs_role("admin"), principal("admin things:read"), Forbidden),
    ],
)
def test_a_rule_keeps_out_everybody_else(
    rule: Rule, caller: Principal | None, error: type[Exception]
) -> None:
    with acting_for(caller), pytest.raises(error):
        authorize(rule, {})
