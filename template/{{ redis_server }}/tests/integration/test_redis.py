"""The client of Redis keeps commands and replies together."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import asyncio

import pytest

from app.chassis.redis import RedisSettings, connect

pytestmark = pytest.mark.anyio


async def test_a_reply_that_comes_late_is_not_taken_for_the_next(redis_url: str) -> None:
    client = connect(RedisSettings.model_validate({"url": redis_url, "timeout": "5"}))
    connection = await client.connection_pool.get_connection()
    await connection.send_command("ECHO", "late")
    await client.connection_pool.release(connection)
    async with asyncio.timeout(5):
        while not await connection.can_read():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert await client.execute_command("ECHO", "mine") == b"mine"
    await client.aclose()
