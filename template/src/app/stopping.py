"""What SIGTERM and SIGINT do from the first moment on; servers wait for their requests later.

Imported first: importing the rest takes a while, in which the process may be told to stop.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128

_importing = True
_status: int | None = None


def leave(signum: int, _frame: FrameType | None) -> NoReturn:
    """End the process with status 0, as being told to stop is no failure.

    Except for `migrate`: whoever waits for the migrations must not take them for applied.
    """
    global _status  # noqa: PLW0603 - a process ends once
    interrupted = sys.argv[1:2] == ["migrate"]
    _status = INTERRUPTED + signum if interrupted else 0
    if _importing:
        # Code that is being imported may lose what is raised here, or make an error of it.
        os._exit(_status)
    raise SystemExit(_status)


def begin() -> None:
    """From now on the process has something to put in order before it ends."""
    global _importing  # noqa: PLW0603 - a process begins once
    _importing = False


def leave_if_told() -> None:
    """End the process if it was told to and goes on: code may swallow what `leave` raises."""
    if _status is not None:
        raise SystemExit(_status)


for _signum in (signal.SIGTERM, signal.SIGINT):
    # A worker process imports this late: what it does by then is the server's.
    if signal.getsignal(_signum) in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler):
        signal.signal(_signum, leave)
