"""An orchestrator finds out whether the relay and the worker are alive, at little cost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.chassis.heartbeat import beating, lives
from tests.kit.faults import proxied
from tests.kit.processes import run_command, run_process
from tests.kit.waiting import eventually


def probe(file: Path) -> int:
    """Ask as the orchestrator does."""
    command = [sys.executable, "-m", "app.chassis.heartbeat"]
    environment = {**os.environ, "HEARTBEAT_FILE": str(file)}
    return subprocess.run(command, env=environment, check=False).returncode


@pytest.mark.parametrize("command", ["relay", "worker"])
def test_a_process_lives_until_it_hangs_or_ends_whatever_it_depends_on(
    outbox_environment: dict[str, str], command: str, tmp_path: Path
) -> None:
    file = tmp_path / "alive"
    assert probe(file) == 1
    settings = {"HEARTBEAT_FILE": str(file), "HEARTBEAT_TIMEOUT": "2"}
    with (
        proxied(outbox_environment["DATABASE_URL"]) as database,
        proxied(outbox_environment["BROKER_URL"]) as broker,
        run_process(
            command,
            {
                **outbox_environment,
                **settings,
                "DATABASE_URL": database.url,
                "BROKER_URL": broker.url,
            },
        ) as process,
    ):
        database.cut()
        broker.cut()
        eventually(lambda: probe(file) == 0)
        process.process.send_signal(signal.SIGSTOP)
        eventually(lambda: probe(file) == 1)
        process.process.send_signal(signal.SIGCONT)
        eventually(lambda: probe(file) == 0)
        assert process.terminate() == 0
    assert probe(file) == 1


async def test_a_blocked_event_loop_gives_no_sign(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    async with beating(file, 0.1):
        assert lives(file)
        time.sleep(0.2)  # noqa: ASYNC251 - this is what must be noticed
        assert not lives(file)
        async with asyncio.timeout(5):
            while not lives(file):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("file", ["nowhere/alive", "."])
def test_a_file_that_cannot_be_written_is_refused(
    outbox_environment: dict[str, str], file: str
) -> None:
    variables = {**outbox_environment, "HEARTBEAT_FILE": file}
    done = run_command("relay", **variables)
    assert done.returncode == 2
    assert "HEARTBEAT_FILE: must be a file that" in done.stderr
    assert run_command("migrate", **variables).returncode == 0, "who gives no sign needs no file"
