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
_told: int | None = None


def leave(signum: int, _frame: FrameType | None) -> NoReturn:
    """End the process with status 0, as being told to stop is no failure.

    Except for `migrate`: whoever waits for the migrations must not take them for applied.
    """
    global _told  # noqa: PLW0603 - a process ends once
    _told = signum
    if _importing:
        # Code that is being imported may lose what is raised here, or make an error of it.
        os._exit(_status_after(signum))
    raise SystemExit(_status_after(signum))


def begin() -> None:
    """From now on the process has something to put in order before it ends."""
    global _importing  # noqa: PLW0603 - a process begins once
    _importing = False


def leave_if_told() -> None:
    """End the process if it was told to and goes on: code may swallow what `leave` raises."""
    if _told is not None:
        raise SystemExit(_status_after(_told))


def pass_on() -> None:
    """Signal again what the process goes on after, to the server that has taken over since."""
    if _told is not None:
        signal.raise_signal(_told)


def _status_after(signum: int) -> int:
    return INTERRUPTED + signum if sys.argv[1:2] == ["migrate"] else 0


for _signum in (signal.SIGTERM, signal.SIGINT):
    # A worker process imports this late: what it does by then is the server's.
    if signal.getsignal(_signum) in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler):
        signal.signal(_signum, leave)
