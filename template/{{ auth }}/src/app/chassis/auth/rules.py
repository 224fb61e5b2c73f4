"""The rules of the access table, and how a request is held against its rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from app.chassis.asgi import Scope
from app.chassis.auth.errors import InsufficientScope, Unauthenticated
from app.chassis.auth.principal import current_principal
from app.chassis.errors import Forbidden, Problem

REFUSAL = "auth.refusal"
"""Key of the ASGI scope under which the reason waits why a request's token was not accepted."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


@dataclass(frozen=True)
class Rule:
    """Who may call a route: anybody, or holders of a scope, or of a role."""

    public: bool = False
    scope: str | None = None
    role: str | None = None


PUBLIC = Rule(public=True)
AccessTable = Mapping[tuple[str, str], Rule]
"""The rule of every route, by method and path template."""


def needs_scope(scope: str) -> Rule:
    """Let in whose access token carries `scope`."""
    return Rule(scope=scope)


def needs_role(role: str) -> Rule:
    """Let in who holds `role`."""
    return Rule(role=role)


def scopes_of(table: AccessTable) -> frozenset[str]:
    """Every scope that some route asks for."""
    return frozenset(rule.scope for rule in table.values() if rule.scope)


class RouteWithoutRule(RuntimeError):
    """A route is missing from `app/access.py`: nobody has said who may call it."""


def check_complete(table: AccessTable, routes: Iterable[tuple[str, str]]) -> None:
    """Refuse to serve a route that has no rule.

    Raises:
        RouteWithoutRule: naming all of them.
    """
    missing = sorted(f"{method} {path}" for method, path in routes if (method, path) not in table)
    if missing:
        raise RouteWithoutRule(f"not in app/access.py: {', '.join(missing)}")


def authorize(rule: Rule, scope: Scope) -> None:
    """Let the request pass or raise; nothing of its body has been read.

    Raises:
        Unauthenticated: there is no token.
        InvalidToken: there is one, and it is not accepted.
        InsufficientScope: it is accepted and does not suffice.
        Forbidden: the caller lacks the role.
    """
    if rule.public:
        return
    refused = _refusal(rule, scope)
    if refused is not None:
        log.info("access_denied", reason=refused.slug, detail=refused.detail)
        raise refused


def _refusal(rule: Rule, scope: Scope) -> Problem | None:
    principal = current_principal()
    if principal is None:
        return scope.get(REFUSAL) or Unauthenticated()
    if rule.scope is not None and rule.scope not in principal.scopes:
        return InsufficientScope(rule.scope)
    if rule.role is not None and rule.role not in principal.roles:
        return Forbidden("The route is reserved for another role.")
    return None
