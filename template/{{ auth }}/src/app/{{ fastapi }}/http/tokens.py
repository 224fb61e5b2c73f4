"""Routes of the tokens, and of the keys that verify them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.chassis.auth.endpoint import RevocationEndpoint, TokenEndpoint
from app.chassis.auth.schemas import TokenView
from app.http.dependencies import as_response, provided

router = APIRouter(tags=["tokens"])
UseTokens = Annotated[TokenEndpoint, Depends(provided(TokenEndpoint))]
UseRevocations = Annotated[RevocationEndpoint, Depends(provided(RevocationEndpoint))]


@router.post("/v1/tokens", response_model=TokenView)
async def issue_tokens(request: Request, tokens: UseTokens) -> Response:
    """Sign in with a password, or go on with a refresh token (RFC 6749)."""
    address = request.client.host if request.client else ""
    arrived: float = request.scope["app.arrived"]
    return as_response(await tokens.issue(await request.body(), address, arrived))


@router.post("/v1/token-revocations", response_class=Response)
async def revoke_token(request: Request, revocations: UseRevocations) -> Response:
    """Sign out: revoke an access token, or a refresh token and its session (RFC 7009)."""
    return as_response(await revocations.revoke(await request.body()))


@router.get("/.well-known/jwks.json", response_model=dict[str, Any])
async def key_set(tokens: UseTokens) -> Response:
    """The keys that access tokens are verified with (RFC 7517)."""
    return as_response(tokens.jwks())
