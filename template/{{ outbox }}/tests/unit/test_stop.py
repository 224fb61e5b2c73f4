"""How the relay and the workers wait: not beyond the request to stop."""

import asyncio

import pytest

from app.chassis.outbox.process import Stop


async def wait_for_ever(seen: list[str]) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        # What an interrupted wait has to put away takes its time.
        await asyncio.sleep(0)
        seen.append("put away")
    return "never"


async def answer() -> str:
    return "answer"


async def fail() -> str:
    await asyncio.sleep(0)
    raise TimeoutError("its own")


async def test_work_that_is_done_gives_its_result() -> None:
    assert await Stop().or_done(answer()) == "answer"


async def test_work_that_need_not_wait_is_done_before_anything_else_has_its_turn() -> None:
    other = asyncio.Event()
    asyncio.get_running_loop().call_soon(other.set)
    await Stop().or_done(answer())
    assert not other.is_set()


async def test_a_request_to_stop_ends_the_wait_once_it_has_put_away() -> None:
    stop, seen = Stop(), list[str]()
    waiting = asyncio.create_task(stop.or_done(wait_for_ever(seen)))
    await asyncio.sleep(0)
    stop.ask()
    stop.ask()  # a second signal changes nothing
    assert await waiting is None
    assert seen == ["put away"]


async def test_nothing_is_waited_for_after_the_request() -> None:
    stop, seen = Stop(), list[str]()
    stop.ask()
    assert await stop.or_done(wait_for_ever(seen)) is None
    assert seen == ["put away"]


async def test_a_failure_of_the_work_is_no_request_to_stop() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        await Stop().or_done(fail())


async def test_a_task_that_is_cancelled_is_not_taken_for_one_that_is_to_stop() -> None:
    waiting = asyncio.create_task(Stop().or_done(wait_for_ever([])))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
