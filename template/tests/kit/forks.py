"""Processes that start in a moment: forked from one that has imported the service already.

Imports are most of a start, a second or two, and many tests want a process with settings of their
own. What happens during the imports is tested with interpreters of their own (`forked=False`).
"""

import multiprocessing
import os
import pkgutil
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import app

_NEVER_IMPORTED = ("app.__main__", "app.dev")
_PRELOADED = [
    "pytest",  # a child looks at the program that it was started from
    *(
        module.name
        for module in pkgutil.walk_packages(app.__path__, "app.")
        if not module.name.startswith(_NEVER_IMPORTED)
    ),
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOADED)


class Fork:
    """A process that was forked; its methods are those of `subprocess.Popen`."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        output: Path,
        errors: Path | None = None,
    ) -> None:
        """Run `python -m module arguments…`; it writes to `output`, and there its errors too."""
        self._process = _context.Process(
            target=_run, args=(module, arguments, dict(environment), output, errors or output)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit status.

        Raises `subprocess.TimeoutExpired` if it runs for more than `timeout` seconds.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return status

    def send_signal(self, signum: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            # Between its end and the news of it, it is gone and has no exit status yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._process.kill()


def _run(
    module: str, arguments: Sequence[str], environment: dict[str, str], output: Path, errors: Path
) -> None:
    """Become what `python -m module arguments…` is."""
    for path, number in ((output, 1), (errors, 2)):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, number)
        os.close(target)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception as error:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None
