"""Routes of the tokens, and of the keys that verify them."""

from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency

from app.chassis.auth.endpoint import RevocationEndpoint, TokenEndpoint
from app.chassis.auth.schemas import TokenView
from app.http.dependencies import JsonRequest, as_response, provided, scope_of


@post("/v1/tokens", status_code=200)
async def issue_tokens(
    request: JsonRequest, tokens: NamedDependency[TokenEndpoint]
) -> Response[TokenView]:
    """Sign in with a password, or go on with a refresh token (RFC 6749)."""
    address = request.client.host if request.client else ""
    arrived: float = scope_of(request)["app.arrived"]
    return as_response(await tokens.issue(await request.body(), address, arrived))


@post("/v1/token-revocations", status_code=200)
async def revoke_token(
    request: JsonRequest, revocations: NamedDependency[RevocationEndpoint]
) -> Response[None]:
    """Sign out: revoke an access token, or a refresh token and its session (RFC 7009)."""
    return as_response(await revocations.revoke(await request.body()))


@get("/.well-known/jwks.json")
async def key_set(tokens: NamedDependency[TokenEndpoint]) -> Response[dict[str, Any]]:
    """The keys that access tokens are verified with (RFC 7517)."""
    return as_response(tokens.jwks())


router = Router(
    "/",
    route_handlers=[issue_tokens, revoke_token, key_set],
    dependencies={
        "tokens": provided(TokenEndpoint),
        "revocations": provided(RevocationEndpoint),
    },
    tags=["tokens"],
)
