"""Route of the users."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.chassis.auth.endpoint import AccountEndpoint
from app.chassis.auth.schemas import Registration, RegistrationView
from app.http.dependencies import JsonRoute, as_response, provided

router = APIRouter(prefix="/v1/users", tags=["users"], route_class=JsonRoute)
UseAccounts = Annotated[AccountEndpoint, Depends(provided(AccountEndpoint))]


@router.post("", status_code=201, response_model=RegistrationView)
async def register_user(body: Registration, accounts: UseAccounts) -> Response:
    """Register; the answer does not tell whether the address was known."""
    return as_response(await accounts.register(body))
