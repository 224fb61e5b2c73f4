"""Waiting for what another process does."""

import time
from collections.abc import Callable
from typing import Any

WAIT_SECONDS = 30


def eventually(condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
