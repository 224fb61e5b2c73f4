"""A bare Litestar application: the same list, and none of what makes a service of it."""

from collections.abc import AsyncGenerator

from bare_tables import OrderView, newest, sessions
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from sqlalchemy.ext.asyncio import AsyncSession


async def session() -> AsyncGenerator[AsyncSession]:
    """Open one session for each request."""
    async with sessions() as opened:
        yield opened


@get("/health/live")
async def live() -> dict[str, str]:
    """Answer."""
    return {"status": "ok"}


@get("/v1/orders", dependencies={"db": Provide(session)})
async def orders(db: NamedDependency[AsyncSession], limit: FromQuery[int] = 20) -> list[OrderView]:
    """List the newest orders."""
    found = (await db.scalars(newest(limit))).all()
    return [OrderView.model_validate(order) for order in found[:limit]]


app = Litestar([live, orders])
