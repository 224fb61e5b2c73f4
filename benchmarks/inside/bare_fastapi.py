"""A bare FastAPI application: the same list, and none of what makes a service of it."""

from collections.abc import AsyncGenerator
from typing import Annotated

from bare_tables import OrderView, newest, sessions
from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

app = FastAPI()


async def session() -> AsyncGenerator[AsyncSession]:
    """Open one session for each request."""
    async with sessions() as opened:
        yield opened


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Answer."""
    return {"status": "ok"}


@app.get("/v1/orders", response_model=list[OrderView])
async def orders(db: Annotated[AsyncSession, Depends(session)], limit: int = 20) -> object:
    """List the newest orders."""
    found = (await db.scalars(newest(limit))).all()
    return found[:limit]
