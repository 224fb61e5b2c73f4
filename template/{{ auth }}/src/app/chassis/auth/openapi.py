"""Security in the OpenAPI document: the access table, as clients and their tools read it."""

from typing import Any

from app.access import ACCESS
from app.chassis.auth.keys import JWK_SET
from app.chassis.auth.middleware import OWN_ROUTES
from app.chassis.auth.rules import Rule, check_complete, scopes_of
from app.chassis.auth.settings import AuthSettings
from app.chassis.http import JSON
from app.chassis.middleware.media_types import FORM
from app.chassis.openapi import PROBLEMS, Node, add_problem, operations

SCHEME = "oauth2"
TOKEN_FORM: Node = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
        "username": {"type": "string", "description": "Email address; with `password`."},
        "password": {"type": "string", "format": "password"},
        "refresh_token": {"type": "string", "description": "With `refresh_token`."},
        "scope": {"type": "string", "description": "Scopes, separated by spaces; default: all."},
    },
}
REVOCATION_FORM: Node = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "required": ["token"],
    "properties": {
        "token": {
            "type": "string",
            "minLength": 1,
            "description": "An access or a refresh token.",
        },
        "token_type_hint": {
            "type": "string",
            "description": "`access_token` or `refresh_token`; others are ignored.",
        },
    },
}
FORMS = {"/v1/tokens": TOKEN_FORM, "/v1/token-revocations": REVOCATION_FORM}
FORM_PROBLEMS = (400, 408, 413, 415)


def describe_security(document: Node) -> None:
    """Say for every operation which scope it needs, or that it needs none.

    A resource server shows none of the routes that its issuer has instead.

    Raises:
        RouteWithoutRule: an operation is missing from the access table.
    """
    found = list(operations(document))
    check_complete(ACCESS, ((method.upper(), path) for method, path, _ in found))
    for method, path, operation in found:
        _describe(ACCESS[method.upper(), path], operation)
        if path in FORMS:
            _describe_form(FORMS[path], operation)
    _describe_accounts(document["paths"])
    issuer = AuthSettings().issuer_url
    document["components"]["securitySchemes"] = {SCHEME: _scheme(issuer)}
    if issuer is not None:
        for path in OWN_ROUTES:
            del document["paths"][path]


def _scheme(issuer: str | None) -> dict[str, Any]:
    if issuer is not None:
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        return {"type": "openIdConnect", "openIdConnectUrl": url}
    flow = {
        "tokenUrl": "/v1/tokens",
        "refreshUrl": "/v1/tokens",
        "scopes": {scope: _meaning(scope) for scope in sorted(scopes_of(ACCESS))},
    }
    return {"type": "oauth2", "flows": {"password": flow}}


def _meaning(scope: str) -> str:
    what, _, right = scope.partition(":")
    return f"{right.capitalize()} {what}."


def _describe(rule: Rule, operation: Node) -> None:
    if rule.public:
        operation["security"] = []
        return
    operation["security"] = [{SCHEME: [rule.scope] if rule.scope else []}]
    add_problem(operation, 401, "There is no access token, or it is not accepted.")
    add_problem(operation, 403, "The access token does not suffice.")


def _describe_form(schema: Node, operation: Node) -> None:
    operation["requestBody"] = {"required": True, "content": {FORM: {"schema": schema}}}
    for status in FORM_PROBLEMS:
        add_problem(operation, status, PROBLEMS[status])


def _describe_accounts(paths: Node) -> None:
    """Complete what the general rules cannot know about these routes."""
    add_problem(paths["/v1/tokens"]["post"], 401, "The refresh token cannot be used.")
    add_problem(paths["/v1/tokens"]["post"], 429, "Too many attempts to sign in failed.")
    paths["/v1/token-revocations"]["post"]["responses"]["200"].pop("content", None)
    content = paths["/.well-known/jwks.json"]["get"]["responses"]["200"]["content"]
    content[JWK_SET] = content.pop(JSON)
    # Nothing that a stranger registers can be looked up, or the answer would tell known addresses.
    paths["/v1/users"]["post"]["responses"]["201"].pop("headers", None)
