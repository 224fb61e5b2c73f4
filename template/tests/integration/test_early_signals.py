"""A process that is told to stop while it is still starting stops at once."""

import signal
import subprocess
import sys
import time

import pytest

from tests.kit.processes import run_process
from tests.kit.signals import minds, needs_proc
from tests.kit.waiting import eventually

# What a handler raises while the interpreter calls back a weak reference is lost.
LOSE = """
import os, signal, weakref
from app import stopping
class Lock: ...
def lose():
    lock = Lock()
    gone = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del lock
"""
LOST = f"""
{LOSE}
{{begun}}
lose()
os.write(1, b"goes on")
stopping.leave_if_told()
os.write(1, b" for ever")
"""
LOST_BY_THE_SERVER = f"""
{LOSE}
import runpy, sys, uvicorn
run = uvicorn.run
uvicorn.run = lambda *arguments, **options: [lose(), run(*arguments, **options)]
sys.argv = ["app", "serve"]
runpy.run_module("app", run_name="__main__")
"""


@needs_proc
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("command", "status"), [("serve", 0), ("migrate", 128)])
def test_a_signal_during_the_imports_ends_the_process(
    environment: dict[str, str], command: str, status: int, signum: signal.Signals
) -> None:
    with run_process(command, environment, forked=False) as process:
        eventually(lambda: minds(process, signal.SIGTERM) and minds(process, signal.SIGINT))
        process.process.send_signal(signum)
        assert process.process.wait(10) == (status and status + signum)
        assert process.output.read_text() == ""


@needs_proc
@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9])
def test_a_signal_at_any_other_moment_of_the_start_ends_it_too(
    environment: dict[str, str], seconds: float
) -> None:
    with run_process("serve", {**environment, "PORT": "0"}, forked=False) as process:
        eventually(lambda: minds(process, signal.SIGTERM))
        time.sleep(seconds)
        assert process.terminate(20) == 0


@pytest.mark.parametrize(("begun", "output"), [("", ""), ("stopping.begin()", "goes on")])
def test_a_signal_that_may_be_swallowed_counts_all_the_same(begun: str, output: str) -> None:
    command = [sys.executable, "-c", LOST.format(begun=begun)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, output)


def test_a_signal_that_is_lost_before_the_server_takes_over_is_passed_on_to_it(
    environment: dict[str, str],
) -> None:
    command = [sys.executable, "-c", LOST_BY_THE_SERVER]
    variables = {**environment, "PORT": "0", "HTTP_DRAIN_DELAY": "0"}
    done = subprocess.run(command, env=variables, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0
    assert b"draining" in done.stdout
