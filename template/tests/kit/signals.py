"""What a process does when it gets a signal, as the kernel knows it."""

import signal
import sys
from pathlib import Path

import pytest

from tests.kit.processes import ServiceProcess

needs_proc = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux has /proc, which tells of a process's signals and children",
)


def minds(process: ServiceProcess, signum: signal.Signals) -> bool:
    """Whether the process has said what it does when it gets the signal."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signum - 1) & 1)
