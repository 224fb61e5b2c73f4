"""A sign of life for processes that serve no HTTP: a file that says until when they are alive.

`python -m app.chassis.heartbeat` is the check for the orchestrator: its status is 0 while the
process of the same `HEARTBEAT_FILE` lives. It imports nothing else of the service, as a probe
should cost little.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

BEATS = 5
"""In the time that each is good for: so many have to be missed."""


@asynccontextmanager
async def beating(file: Path | None, seconds: float) -> AsyncGenerator[None]:
    """Renew the sign while the block runs, as long as the event loop does; none without `file`.

    Raises:
        OSError: the file cannot be written.
    """
    if file is None:
        yield
        return
    _vouch(file, seconds)

    async def beat() -> None:
        while True:
            await asyncio.sleep(seconds / BEATS)
            _vouch(file, seconds)

    beats = asyncio.create_task(beat())
    try:
        yield
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
        _withdraw(file)


def lives(file: Path) -> bool:
    """Whether the last sign is still good."""
    try:
        return time.time() < file.stat().st_mtime
    except FileNotFoundError:
        return False


def _vouch(file: Path, seconds: float) -> None:
    """Date the file into the future; there is no moment in which it is not."""
    file.open("ab").close()
    now = time.time()
    os.utime(file, (now, now + seconds))


def _withdraw(file: Path) -> None:
    file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(not lives(Path(os.environ["HEARTBEAT_FILE"])))
