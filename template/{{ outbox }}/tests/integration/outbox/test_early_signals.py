"""A relay or a worker that is told to stop while it is still starting stops at once."""

import signal
import time

import pytest

from tests.kit.processes import run_process
from tests.kit.signals import minds, needs_proc
from tests.kit.waiting import eventually

pytestmark = needs_proc


@pytest.mark.parametrize("seconds", [0, 0.7])
@pytest.mark.parametrize("command", ["relay", "worker"])
def test_a_signal_during_the_start_ends_the_process(
    outbox_environment: dict[str, str], command: str, seconds: float
) -> None:
    with run_process(command, outbox_environment, forked=False) as process:
        eventually(lambda: minds(process, signal.SIGTERM))
        time.sleep(seconds)
        assert process.terminate(20) == 0
