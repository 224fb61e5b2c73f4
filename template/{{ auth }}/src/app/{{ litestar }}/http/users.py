"""Route of the users."""

from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.chassis.auth.endpoint import AccountEndpoint
from app.chassis.auth.schemas import Registration, RegistrationView
from app.http.dependencies import as_response, provided


@post()
async def register_user(
    data: JSONBody[Registration], accounts: NamedDependency[AccountEndpoint]
) -> Response[RegistrationView]:
    """Register; the answer does not tell whether the address was known."""
    return as_response(await accounts.register(data))


router = Router(
    "/v1/users",
    route_handlers=[register_user],
    dependencies={"accounts": provided(AccountEndpoint)},
    tags=["users"],
)
