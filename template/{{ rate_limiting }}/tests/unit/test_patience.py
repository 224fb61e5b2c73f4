"""A server is given up for being slow, not for this process's being busy."""

import asyncio
import socket
import threading
import time

import pytest

from app.chassis.rate_limiting.patience import patience


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.04):
            await asyncio.Event().wait()
    assert 0.03 < time.monotonic() - started < 5


async def test_an_answer_that_came_while_the_process_was_busy_counts() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    threading.Timer(0.05, theirs.send, [b"!"]).start()
    asyncio.get_running_loop().call_later(0.005, time.sleep, 0.2)
    async with patience(0.04):
        assert await reader.read(1) == b"!"
    writer.close()
    theirs.close()


async def test_the_block_may_fail_in_its_own_way() -> None:
    with pytest.raises(ValueError, match="own"):
        async with patience(0.04):
            raise ValueError("own")
